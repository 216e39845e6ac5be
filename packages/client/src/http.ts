import { backoffMs } from "./backoff.js";
import type { Environment, FetchLike, ResponseLike } from "./environment.js";
import { asDaybookError, DaybookError, errorOfAnswer, inDoubt } from "./errors.js";
import { linesOf } from "./lines.js";
import { Patience } from "./patience.js";

const TIMEOUT_MS = 30_000;
/** Three times what the server lets pass without a sign of life. */
const SILENCE_MS = 45_000;
/** A call that may be repeated is tried so often before it fails. */
const TRIES_MAX = 4;

export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly token?: string | undefined;
  /** JSON text. */
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Beyond the usual patience: what the server was asked to wait. */
  readonly waitMs?: number;
}

/** Calls of the REST API. */
export class Http {
  constructor(
    readonly baseUrl: string,
    private readonly fetch: FetchLike,
    private readonly environment: Environment,
  ) {}

  /**
   * One try.
   * @returns the parsed body; undefined where there is none
   * @throws DaybookError
   */
  async once(call: Call): Promise<unknown> {
    const patience = new Patience(this.environment.clock, call.signal);
    patience.begin(TIMEOUT_MS + (call.waitMs ?? 0));
    try {
      const answer = await this.send(call, patience.signal);
      return bodyOf(answer, await answer.text());
    } catch (error) {
      throw patience.reasonOf(error);
    } finally {
      patience.end();
    }
  }

  /**
   * One try of a call whose answer is read as it comes, no faster than the loop.
   * @returns its lines, until the answer ends
   * @throws DaybookError also when it breaks off, or nothing comes for longer than a living connection is silent
   */
  async *lines(call: Call): AsyncGenerator<string, void, undefined> {
    const patience = new Patience(this.environment.clock, call.signal);
    patience.begin(TIMEOUT_MS);
    let close = (): Promise<void> => Promise.resolve();
    try {
      const answer = await this.send(call, patience.signal);
      if (!isSuccess(answer) || !answer.body) return void bodyOf(answer, await answer.text());
      const reader = answer.body.getReader();
      close = () => reader.cancel();
      yield* linesOf(() => {
        // Only a read can be late: how long the loop takes is its own affair.
        patience.begin(SILENCE_MS);
        return reader.read().finally(() => patience.end());
      });
    } catch (error) {
      throw patience.reasonOf(error);
    } finally {
      patience.end();
      // It may have failed already, which was thrown.
      await close().catch(() => undefined);
    }
  }

  private send(call: Call, signal: AbortSignal): Promise<ResponseLike> {
    return this.fetch(this.baseUrl + call.path, {
      method: call.method,
      headers: headersOf(call),
      ...(call.body !== undefined && { body: call.body }),
      signal,
    });
  }

  /**
   * Tries again what may succeed later.
   * @param isRepeatable doing it twice is the same as doing it once. What is not is only tried again when the first
   *   time surely did nothing.
   * @throws DaybookError it may have happened if any of the tries may have
   */
  async call(call: Call, isRepeatable = true): Promise<unknown> {
    let isInDoubt = false;
    for (let tries = 1; ; tries++) {
      try {
        return await this.once(call);
      } catch (error) {
        const failure = asDaybookError(error);
        isInDoubt ||= failure.mayHaveHappened;
        const mayRepeat = failure.retryable && (isRepeatable || !isInDoubt);
        if (!mayRepeat || tries >= TRIES_MAX || call.signal?.aborted === true)
          throw isInDoubt ? inDoubt(failure) : failure;
        await this.pause(tries, failure.retryAfterMs ?? 0, call.signal);
      }
    }
  }

  /** Waits before the next try; not longer than the signal lets it. */
  pause(failures: number, atLeastMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock, random } = this.environment;
    const ms = Math.max(atLeastMs, backoffMs(failures, random()));
    return new Promise((resolve) => {
      const stop = clock.after(ms, done);
      function done(): void {
        stop();
        signal?.removeEventListener("abort", done);
        resolve();
      }
      signal?.addEventListener("abort", done, { once: true });
    });
  }
}

function headersOf({ token, body, headers }: Call): Record<string, string> {
  return {
    ...headers,
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(body !== undefined && { "content-type": "application/json" }),
  };
}

function isSuccess({ status }: ResponseLike): boolean {
  return status >= 200 && status < 300;
}

function bodyOf(answer: ResponseLike, text: string): unknown {
  const { status, headers } = answer;
  let body: unknown;
  try {
    body = text === "" ? undefined : JSON.parse(text);
  } catch (cause) {
    if (isSuccess(answer))
      throw new DaybookError("invalid_answer", "The answer is no JSON: is this a Daybook server?", {
        status,
        cause,
        mayHaveHappened: true,
      });
  }
  if (isSuccess(answer)) return body;
  throw errorOfAnswer(status, body, headers.get("retry-after"));
}
