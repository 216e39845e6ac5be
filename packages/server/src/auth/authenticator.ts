import { DaybookError } from "@daybook/protocol";
import { decodeProtectedHeader, errors, type JWK, type JWTPayload } from "jose";
import { type Caller, OPEN_CALLER } from "../service/caller.js";
import { callerOfClaims } from "./caller-of-claims.js";
import type { IssuerKeys } from "./issuer-keys.js";
import type { KeyRing } from "./key-ring.js";
import { LEEWAY_SECONDS } from "./key-ring.js";
import { mintSessionToken, requireMayMint, type SessionTokenRequest } from "./session-tokens.js";
import { TokenCache } from "./token-cache.js";

const TOKEN_CHARACTERS_MAX = 8_192;
/** setTimeout takes no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export type TokenEnd = "token_expired" | "token_invalid";

/** Says who calls, and when that ends. */
export class Authenticator {
  private readonly cache = new TokenCache();
  /** Open tails by the API key they depend on. */
  private readonly dependents = new Map<string, Set<() => void>>();
  /** Looks at the keys folder at once: a key may have been made a moment ago. */
  lookAtKeys: () => Promise<void> = () => Promise.resolve();

  constructor(
    private readonly mode: "none" | "jwt",
    private ring: KeyRing,
    /** What the tokens made here name as their issuer. */
    public publicUrl: string,
    private readonly outside: IssuerKeys | undefined,
  ) {}

  get isOpen(): boolean {
    return this.mode === "none";
  }

  get publicKeys(): { keys: JWK[] } {
    return this.ring.publicKeys;
  }

  /** Keys changed on disk: what was revoked ends now, also on open sockets. */
  replaceKeys(ring: KeyRing): void {
    this.ring = ring;
    // Whatever it was that changed, the next check of each token sees it.
    this.cache.clear();
    for (const [keyId, ends] of this.dependents) {
      if (!ring.isRevoked(keyId)) continue;
      this.dependents.delete(keyId);
      for (const end of ends) end();
    }
  }

  /**
   * The caller a token speaks for; at once when it was seen before.
   * @throws DaybookError unauthorized, issuer_unavailable
   */
  authenticate(token: string | undefined): Caller | Promise<Caller> {
    if (this.mode === "none") return OPEN_CALLER;
    if (token === undefined) throw unauthorized("Send a token: Authorization: Bearer TOKEN.");
    const known = this.cache.get(token);
    if (known !== undefined && !hasEnded(known)) return known;
    this.cache.delete(token);
    return this.verify(token);
  }

  /** The caller of an open socket, if his token is still good. @throws DaybookError unauthorized */
  stillGood(caller: Caller): Caller {
    if (hasEnded(caller)) throw expired();
    if (caller.keyId !== undefined && this.ring.isRevoked(caller.keyId)) throw revokedError();
    return caller;
  }

  /** Calls back once, at the moment the caller's token expires or is revoked; never before this has returned. */
  onEnd(caller: Caller, ended: (how: TokenEnd) => void): () => void {
    const { expiresAtMs, keyId } = caller;
    if (expiresAtMs === undefined) return () => undefined;
    let isOver = false;
    const undo = (): void => {
      isOver = true;
      clearTimeout(timer);
      if (keyId === undefined) return;
      const ends = this.dependents.get(keyId);
      ends?.delete(revoked);
      if (ends?.size === 0) this.dependents.delete(keyId);
    };
    const revoked = (): void => {
      if (isOver) return;
      undo();
      ended("token_invalid");
    };
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const left = expiresAtMs - Date.now();
      timer = setTimeout(left > TIMER_MS_MAX ? wait : expired, Math.max(0, Math.min(left, TIMER_MS_MAX)));
      timer.unref();
    };
    const expired = (): void => {
      // Timers may fire a little early.
      if (Date.now() < expiresAtMs) {
        wait();
        return;
      }
      undo();
      ended("token_expired");
    };
    wait();
    if (keyId !== undefined) {
      const ends = this.dependents.get(keyId) ?? new Set();
      this.dependents.set(keyId, ends.add(revoked));
      // It may have been revoked between its check and now.
      if (this.ring.isRevoked(keyId)) queueMicrotask(revoked);
    }
    return undo;
  }

  /** A token of ours may name a URL that became ours a moment ago. */
  private async verifyOwn(token: string, kid: string): Promise<JWTPayload> {
    try {
      return await this.ring.verify(token, kid);
    } catch (error) {
      if (!(error instanceof errors.JWTClaimValidationFailed) || error.claim !== "iss") throw error;
      await this.lookAtKeys();
      return this.ring.verify(token, kid);
    }
  }

  /** A session token for a principal of the caller's tenant. */
  async mint(
    caller: Caller,
    request: SessionTokenRequest,
  ): Promise<{ readonly token: string; readonly expiresIn: number }> {
    requireMayMint(caller, request);
    const { keyId, expiresAtMs } = caller;
    return mintSessionToken(this.ring, this.publicUrl, request, {
      tenant: caller.principal.tenant,
      ...(keyId !== undefined && { keyId }),
      ...(expiresAtMs !== undefined && { expiresAtMs }),
    });
  }

  private async verify(token: string): Promise<Caller> {
    if (token.length > TOKEN_CHARACTERS_MAX) throw unauthorized("The token is too long.");
    const { kid } = headerOf(token);
    if (typeof kid !== "string") throw unauthorized("The token names no kid.");
    if (!this.ring.has(kid)) await this.lookAtKeys();
    let caller: Caller;
    try {
      if (this.ring.has(kid)) caller = callerOfClaims(await this.verifyOwn(token, kid));
      else if (this.outside !== undefined)
        caller = ofOutside(callerOfClaims(await this.outside.verify(token, kid)));
      else throw unauthorized("The token's key is not known here.");
    } catch (error) {
      throw error instanceof DaybookError ? error : refusal(error);
    }
    const { keyId } = caller;
    if (keyId !== undefined && !this.ring.knows(keyId)) await this.lookAtKeys();
    if (keyId !== undefined && this.ring.isRevoked(keyId)) throw revokedError();
    this.cache.add(token, caller);
    return caller;
  }
}

/** The key ids of another issuer are not ours: its tokens cannot be revoked here, nor clash with a key that was. */
function ofOutside({ keyId: _theirs, ...caller }: Caller): Caller {
  return caller;
}

function hasEnded({ expiresAtMs }: Caller): boolean {
  return expiresAtMs !== undefined && Date.now() >= expiresAtMs + LEEWAY_SECONDS * 1000;
}

/** `kid` is what the sender wrote there: anything. */
function headerOf(token: string): { kid?: unknown } {
  try {
    return decodeProtectedHeader(token);
  } catch {
    throw unauthorized("The token is not a JWT.");
  }
}

/** What was wrong, without a word of the token itself. */
function refusal(error: unknown): DaybookError {
  if (error instanceof errors.JWTExpired) return expired();
  if (error instanceof errors.JWTClaimValidationFailed)
    return unauthorized(`The token's ${error.claim} is not valid here.`);
  return unauthorized("The token could not be verified.");
}

const EXPIRED = "The token has expired.";
const expired = (): DaybookError => unauthorized(EXPIRED);
const revokedError = (): DaybookError => unauthorized("The token was revoked.");

/** What a call is answered that was waiting when its token ended. */
export function tokenEnded(how: TokenEnd): DaybookError {
  return how === "token_expired" ? expired() : revokedError();
}

/** Expired, and not bad in another way: a new token helps. */
export function isExpired({ code, message }: DaybookError): boolean {
  return code === "unauthorized" && message === EXPIRED;
}

export function unauthorized(message: string): DaybookError {
  return new DaybookError("unauthorized", message);
}
