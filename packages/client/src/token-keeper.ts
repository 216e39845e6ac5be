import { backoffMs } from "./backoff.js";
import type { Environment } from "./environment.js";
import { asDaybookError, DaybookError } from "./errors.js";
import { readClaims } from "./token-claims.js";

/** Gets another token; null when there will be none any more. Throwing means: ask again later. */
export type RefreshToken = () => Promise<string | null>;

/** The part of a token's life after which a new one is fetched, so that the old one never ends in mid-stream. */
const REFRESH_AT = 0.8;
/** Timers take no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The token of a session, shared by its tail and its outbox. */
export class TokenKeeper {
  private token: string | undefined;
  private refreshing: Promise<string> | undefined;
  private stopTimer: () => void = () => undefined;
  private isStopped = false;

  constructor(
    token: string | undefined,
    private readonly refreshToken: RefreshToken | undefined,
    private readonly environment: Environment,
    private readonly hooks: {
      /** There is another token than before. */
      readonly changed: () => void;
      /** A refresh failed; it will be tried again. */
      readonly failed: (error: DaybookError) => void;
    },
  ) {
    this.replace(token);
  }

  get current(): string | undefined {
    return this.token;
  }

  /** Takes a token that came from elsewhere. */
  replace(token: string | undefined): void {
    this.token = token;
    this.stopTimer();
    if (token === undefined || this.refreshToken === undefined || this.isStopped) return;
    const { lifetimeMs } = readClaims(token);
    if (lifetimeMs === undefined || lifetimeMs <= 0) return;
    // Counted from when it came: neither clock has to be right.
    const ms = Math.min(TIMER_MS_MAX, lifetimeMs * REFRESH_AT);
    this.stopTimer = this.environment.clock.after(ms, () => {
      // Nobody waits for this one: should it come to nothing, the server will say when the token has ended.
      this.refresh(token).catch(() => undefined);
    });
  }

  /**
   * A token other than the one that was refused; the one there is, if that is another already. Fetched once however
   * many ask, and again and again for as long as fetching fails.
   * @throws DaybookError invalid_token when there will be none
   */
  refresh(refused: string | undefined): Promise<string> {
    if (this.token !== undefined && this.token !== refused) return Promise.resolve(this.token);
    this.refreshing ??= this.fetch().finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  stop(): void {
    this.isStopped = true;
    this.stopTimer();
  }

  private async fetch(): Promise<string> {
    if (this.refreshToken === undefined)
      throw noToken("The token is not good any more, and there is no refreshToken to get another.");
    const { clock, random } = this.environment;
    for (let failures = 1; !this.isStopped; failures++) {
      try {
        const token = await this.refreshToken();
        if (token === null) throw noToken("refreshToken said that there will be no other token.");
        this.replace(token);
        this.hooks.changed();
        return token;
      } catch (error) {
        const failure = asDaybookError(error);
        if (!failure.retryable) throw failure;
        this.hooks.failed(failure);
        const ms = Math.max(failure.retryAfterMs ?? 0, backoffMs(failures, random()));
        await new Promise<void>((resolve) => (this.stopTimer = clock.after(ms, resolve)));
      }
    }
    throw new DaybookError("closed", "The session was closed.");
  }
}

function noToken(message: string): DaybookError {
  return new DaybookError("invalid_token", message);
}
