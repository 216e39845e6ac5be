import { backoffMs } from "./backoff.js";
import type { Environment } from "./environment.js";
import { asDaybookError, DaybookError } from "./errors.js";
import { readClaims } from "./token-claims.js";

/** Gets another token; null when there will be none any more. Throwing means: ask again later. */
export type RefreshToken = () => Promise<string | null>;

/** The part of a token's life after which a new one is fetched, so that the old one does not end in mid-stream. */
const REFRESH_AT = 2 / 3;
/** So long `refreshToken` may take until it is asked again. */
const ANSWER_MS = 30_000;
/** Timers take no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface TokenKeeperOptions {
  readonly token: string | undefined;
  readonly refreshToken: RefreshToken | undefined;
  readonly environment: Environment;
  /** There is another token than before. */
  readonly changed: () => void;
  /** A refresh failed; it will be tried again. */
  readonly failed: (error: DaybookError) => void;
}

/** The token of a session, shared by its tail, its outbox and its reads. */
export class TokenKeeper {
  private token: string | undefined;
  private refreshing: Promise<string> | undefined;
  private stopTimer: () => void = () => undefined;
  private isStopped = false;
  private wake: () => void = () => undefined;

  constructor(private readonly options: TokenKeeperOptions) {
    this.take(options.token);
  }

  get current(): string | undefined {
    return this.token;
  }

  /** Takes a token that came from elsewhere. @throws DaybookError invalid_token */
  replace(token: string): void {
    this.take(token);
    this.options.changed();
    this.wake();
  }

  /**
   * A token other than the one that was refused; the one there is, if that is another already. Fetched once however
   * many ask, and again and again for as long as fetching fails.
   * @throws DaybookError invalid_token when there will be none, closed
   */
  refresh(refused: string | undefined): Promise<string> {
    if (this.token !== undefined && this.token !== refused) return Promise.resolve(this.token);
    this.refreshing ??= this.fetch(refused).finally(() => (this.refreshing = undefined));
    return this.refreshing;
  }

  stop(): void {
    this.isStopped = true;
    this.stopTimer();
    this.wake();
  }

  private take(token: string | undefined): void {
    const lifetimeMs = token === undefined ? undefined : readClaims(token).lifetimeMs;
    this.token = token;
    this.stopTimer();
    if (this.options.refreshToken === undefined || lifetimeMs === undefined || lifetimeMs <= 0) return;
    // Counted from when it came, so that neither clock has to be right.
    const ms = Math.min(TIMER_MS_MAX, lifetimeMs * REFRESH_AT);
    // Nobody waits for this one: should it come to nothing, the server will say when the token has ended.
    const refresh = (): void => void this.refresh(token).catch(() => undefined);
    this.stopTimer = this.options.environment.clock.after(ms, refresh, true);
  }

  private async fetch(refused: string | undefined): Promise<string> {
    const { refreshToken, environment, changed, failed } = this.options;
    if (refreshToken === undefined)
      throw noToken("The token is not good any more, and there is no refreshToken to get another.");
    for (let failures = 1; ; failures++) {
      if (this.isStopped) throw new DaybookError("closed", "The session was closed.");
      // Somebody gave one meanwhile.
      if (this.token !== undefined && this.token !== refused) return this.token;
      try {
        const answer = await this.ask(refreshToken);
        if (answer === undefined) continue;
        const { token } = answer;
        if (token === null) throw noToken("refreshToken said that there will be no other token.");
        this.take(token);
        changed();
        return token;
      } catch (error) {
        const failure = asDaybookError(error);
        if (!failure.retryable) throw failure;
        failed(failure);
        const ms = Math.max(failure.retryAfterMs ?? 0, backoffMs(failures, environment.random()));
        await this.pause(ms);
      }
    }
  }

  /** @returns what it says; nothing as soon as there is no more need of that */
  private ask(refreshToken: RefreshToken): Promise<{ readonly token: string | null } | undefined> {
    return new Promise((resolve, reject) => {
      const late = new DaybookError("timeout", "refreshToken did not answer in time.", { retryable: true });
      const stop = this.options.environment.clock.after(ANSWER_MS, () => reject(late));
      this.wake = () => {
        stop();
        resolve(undefined);
      };
      Promise.resolve()
        .then(refreshToken)
        .then((token) => resolve({ token }), reject)
        .finally(stop);
    });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
      this.stopTimer = this.options.environment.clock.after(ms, resolve);
    });
  }
}

function noToken(message: string): DaybookError {
  return new DaybookError("invalid_token", message);
}
