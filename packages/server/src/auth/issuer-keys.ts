import { DaybookError } from "@daybook/protocol";
import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { LEEWAY_SECONDS } from "./key-ring.js";

/** Signatures an outside issuer may use. Never `none`, never a shared secret. */
const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];

export interface IssuerSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
}

const REFRESH_MS = 10 * 60 * 1000;
const HARD_EXPIRY_MS = 24 * 3600 * 1000;
const COOL_DOWN_MS = 30 * 1000;
/** An issuer that did not answer is asked again sooner. */
const RETRY_MS = 1_000;
const FETCH_MS_MAX = 5_000;
const JWKS_BYTES_MAX = 1024 * 1024;

/**
 * An outside issuer's public keys. They are refreshed while they are good, so that an outage of the issuer is not
 * noticed; an unknown key id asks once and then not again for a while, so that made-up ids cannot hammer the issuer;
 * keys that could not be refreshed for a day are good no more.
 */
export class IssuerKeys {
  private keys:
    { readonly set: ReturnType<typeof createLocalJWKSet>; readonly ids: ReadonlySet<string> } | undefined;
  private fetchedAt = Number.NEGATIVE_INFINITY;
  private triedAt = Number.NEGATIVE_INFINITY;
  private lastTryFailed = false;
  private fetching: Promise<void> | undefined;

  constructor(
    private readonly settings: IssuerSettings,
    private readonly options: { readonly coolDownMs?: number; readonly clock?: () => number } = {},
  ) {}

  /** @throws JOSEError for a bad token; DaybookError issuer_unavailable when the keys cannot be had. */
  async verify(token: string, kid: string): Promise<JWTPayload> {
    const keys = await this.keysWith(kid);
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ALGORITHMS,
      issuer: this.settings.issuer,
      audience: this.settings.audience,
      clockTolerance: LEEWAY_SECONDS,
      requiredClaims: ["exp", "sub"],
    });
    return payload;
  }

  private async keysWith(kid: string): Promise<ReturnType<typeof createLocalJWKSet>> {
    const age = this.now() - this.fetchedAt;
    if (this.keys === undefined || age > HARD_EXPIRY_MS || !this.keys.ids.has(kid)) await this.refresh();
    else if (age > REFRESH_MS) void this.refresh();
    const keys = this.keys;
    const isOld = this.now() - this.fetchedAt > HARD_EXPIRY_MS;
    // An unknown key may be a new one of an issuer that is away: that is no fault of the token.
    if (keys === undefined || isOld || (this.lastTryFailed && !keys.ids.has(kid))) {
      throw new DaybookError("issuer_unavailable", "The keys of the token's issuer cannot be had right now.");
    }
    return keys.set;
  }

  private refresh(): Promise<void> {
    if (this.fetching !== undefined) return this.fetching;
    const coolDownMs = this.options.coolDownMs ?? COOL_DOWN_MS;
    const pauseMs = this.lastTryFailed ? Math.min(RETRY_MS, coolDownMs) : coolDownMs;
    if (this.now() - this.triedAt < pauseMs) return Promise.resolve();
    this.triedAt = this.now();
    this.fetching = this.fetchKeys().finally(() => {
      this.fetching = undefined;
    });
    return this.fetching;
  }

  private async fetchKeys(): Promise<void> {
    try {
      const answer = await fetch(this.settings.jwksUrl, {
        signal: AbortSignal.timeout(FETCH_MS_MAX),
        redirect: "error",
      });
      const text = await answer.text();
      if (!answer.ok || text.length > JWKS_BYTES_MAX) throw new Error("this is no key set");
      const set = JSON.parse(text) as JSONWebKeySet;
      this.keys = { set: createLocalJWKSet(set), ids: new Set(set.keys.flatMap(({ kid }) => kid ?? [])) };
      this.fetchedAt = this.now();
      this.lastTryFailed = false;
    } catch {
      this.lastTryFailed = true;
      // An outage. What is in hand stays good for its time; with nothing in hand the caller says so.
    }
  }

  private now(): number {
    return (this.options.clock ?? Date.now)();
  }
}
