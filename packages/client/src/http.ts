import { backoffMs } from "./backoff.js";
import type { Environment, FetchLike, ResponseLike } from "./environment.js";
import { asDaybookError, DaybookError, errorOfAnswer } from "./errors.js";

const TIMEOUT_MS = 30_000;
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
    const { clock } = this.environment;
    const abort = new AbortController();
    const giveUp = (): void => abort.abort(call.signal?.reason);
    if (call.signal?.aborted === true) giveUp();
    call.signal?.addEventListener("abort", giveUp, { once: true });
    const late = new DaybookError("timeout", "The server did not answer in time.", {
      retryable: true,
      mayHaveHappened: true,
    });
    const stopWaiting = clock.after(TIMEOUT_MS + (call.waitMs ?? 0), () => abort.abort(late));
    try {
      const answer = await this.fetch(this.baseUrl + call.path, {
        method: call.method,
        headers: headersOf(call),
        ...(call.body !== undefined && { body: call.body }),
        signal: abort.signal,
      });
      return bodyOf(answer, await answer.text());
    } catch (error) {
      throw abort.signal.reason === late ? late : asDaybookError(error);
    } finally {
      stopWaiting();
      call.signal?.removeEventListener("abort", giveUp);
    }
  }

  /**
   * Tries again what may succeed later.
   * @param isRepeatable doing it twice is the same as doing it once. What is not is only tried again when the first
   *   time surely did nothing.
   * @throws DaybookError
   */
  async call(call: Call, isRepeatable = true): Promise<unknown> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.once(call);
      } catch (error) {
        const failure = asDaybookError(error);
        const mayRepeat = failure.retryable && (isRepeatable || !failure.mayHaveHappened);
        if (!mayRepeat || tries >= TRIES_MAX || call.signal?.aborted === true) throw failure;
        await this.pause(tries, failure.retryAfterMs ?? 0, call.signal);
      }
    }
  }

  private pause(failures: number, atLeastMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock, random } = this.environment;
    const ms = Math.max(atLeastMs, backoffMs(failures, random()));
    return new Promise((resolve) => {
      clock.after(ms, resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
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

function bodyOf({ status, headers }: ResponseLike, text: string): unknown {
  const isSuccess = status >= 200 && status < 300;
  let body: unknown;
  try {
    body = text === "" ? undefined : JSON.parse(text);
  } catch (cause) {
    if (isSuccess)
      throw new DaybookError("invalid_answer", "The answer is no JSON: is this a Daybook server?", {
        status,
        cause,
      });
  }
  if (isSuccess) return body;
  throw errorOfAnswer(status, body, headers.get("retry-after"));
}
