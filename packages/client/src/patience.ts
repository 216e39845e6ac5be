import type { Clock } from "./environment.js";
import { asDaybookError, DaybookError } from "./errors.js";

/** Ends a call when its signal says so, and when it takes too long. */
export class Patience {
  private readonly abort = new AbortController();
  private readonly late = new DaybookError("timeout", "The server did not answer in time.", {
    retryable: true,
    mayHaveHappened: true,
  });
  private readonly giveUp = (): void => this.abort.abort(this.caller?.reason);
  private stopWaiting = (): void => undefined;

  constructor(
    private readonly clock: Clock,
    private readonly caller: AbortSignal | undefined,
  ) {}

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  /** From now on it may take so long. */
  begin(ms: number): void {
    this.end();
    if (this.caller?.aborted === true) this.giveUp();
    this.caller?.addEventListener("abort", this.giveUp, { once: true });
    this.stopWaiting = this.clock.after(ms, () => this.abort.abort(this.late));
  }

  /** Nobody waits any more. */
  end(): void {
    this.stopWaiting();
    this.caller?.removeEventListener("abort", this.giveUp);
  }

  /** What a call that threw this failed for. */
  reasonOf(error: unknown): DaybookError {
    return this.signal.reason === this.late ? this.late : asDaybookError(error);
  }
}
