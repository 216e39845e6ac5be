import { ERRORS, type ErrorCode, type ErrorFacts } from "@daybook/protocol/errors";

/** What can go wrong on this side of the wire. */
export type ClientErrorCode =
  /** No answer: no network, no server there, a connection that broke. */
  | "network_error"
  /** No answer in time. */
  | "timeout"
  /** Something answered that is no Daybook server. */
  | "invalid_answer"
  /** There is no WebSocket here: pass one. */
  | "no_websocket"
  /** A token that names no session, or a session for which no token can be had. */
  | "invalid_token"
  /** The session or the client was closed. */
  | "closed"
  /** An earlier append was refused: `resume()` or `discard()` it first. */
  | "outbox_paused"
  /** Too much waits to be sent. */
  | "outbox_full"
  /** The append was taken back with `discard()`. */
  | "discarded"
  /** The store could not keep or give back what it was asked for. */
  | "store_failed";

export interface DaybookErrorOptions {
  /** HTTP status, where there was an answer. */
  readonly status?: number | undefined;
  readonly retryable?: boolean;
  readonly mayHaveHappened?: boolean;
  /** How long the server asks to wait. */
  readonly retryAfterMs?: number | undefined;
  /** What else the server said: `current_seq`, `last_seq`, `index` … */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * Everything this client throws. Decide by `code`: those of the server are listed in docs/PROTOCOL.md, those of the
 * client are `ClientErrorCode`.
 *
 * @example
 * try {
 *   await session.append({ text: "Only if nobody spoke", expectedSeq: 0 });
 * } catch (error) {
 *   if (error instanceof DaybookError && error.code === "expected_seq_conflict") console.log(error.details.current_seq);
 * }
 */
export class DaybookError extends Error {
  override readonly name = "DaybookError";
  readonly code: ErrorCode | ClientErrorCode;
  /** HTTP status; undefined where nothing was answered. */
  readonly status: number | undefined;
  /** The same call may succeed later. */
  readonly retryable: boolean;
  /** The call failed, but may have taken effect all the same. */
  readonly mayHaveHappened: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode | ClientErrorCode, message: string, options: DaybookErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.retryable = options.retryable ?? false;
    this.mayHaveHappened = options.mayHaveHappened ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
  }

  /** The token is the trouble: the two statuses mean that and nothing else. */
  get isAuth(): boolean {
    return this.status === 401 || this.status === 403 || this.code === "invalid_token";
  }
}

/** The same error of a call that was tried before: whatever it says of itself, one of the tries may have taken effect. */
export function inDoubt(error: DaybookError): DaybookError {
  if (error.mayHaveHappened) return error;
  const { code, message, status, retryable, retryAfterMs, details, cause } = error;
  return new DaybookError(code, message, {
    ...{ status, retryable, retryAfterMs, details, cause },
    mayHaveHappened: true,
  });
}

/** Statuses that say "not now", also of proxies that stand before the server. */
const RETRYABLE = new Set([408, 425, 429, 500, 502, 503, 504]);

/** An answer that was no success, as an error. `body` is what was parsed of it, if anything. */
export function errorOfAnswer(
  status: number,
  body: unknown,
  retryAfter: string | null | undefined,
): DaybookError {
  const { error, message, ...details } = isObject(body) ? body : {};
  const facts = typeof error === "string" ? factsOf(error) : undefined;
  const code = facts === undefined ? codeOfStatus(status) : (error as ErrorCode);
  return new DaybookError(code, typeof message === "string" ? message : `The server answered ${status}.`, {
    status,
    retryable: RETRYABLE.has(status),
    // A proxy does not know; the server's own table does.
    mayHaveHappened: facts === undefined ? status >= 500 || status === 408 : facts.effect === "unknown",
    details,
    retryAfterMs: secondsOf(retryAfter),
  });
}

/** Why a channel refused, as an error. */
export function errorOfReason(reason: unknown): DaybookError {
  const code = reason === "token_expired" ? "unauthorized" : reason;
  const facts = typeof code === "string" ? factsOf(code) : undefined;
  const message = `The server refused: ${String(reason)}.`;
  if (facts === undefined) return new DaybookError("invalid_answer", message);
  return new DaybookError(code as ErrorCode, message, {
    status: facts.http,
    retryable: RETRYABLE.has(facts.http),
  });
}

/** Anything thrown, as an error of ours. */
export function asDaybookError(error: unknown): DaybookError {
  if (error instanceof DaybookError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DaybookError("network_error", message, {
    retryable: true,
    mayHaveHappened: true,
    cause: error,
  });
}

function factsOf(code: string): ErrorFacts | undefined {
  return Object.hasOwn(ERRORS, code) ? (ERRORS as Record<string, ErrorFacts>)[code] : undefined;
}

function codeOfStatus(status: number): ErrorCode | ClientErrorCode {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  return RETRYABLE.has(status) ? "network_error" : "invalid_answer";
}

/** `Retry-After` in seconds, the form the server uses; a minute at most, so that nobody can silence a client. */
function secondsOf(header: string | null | undefined): number | undefined {
  return typeof header === "string" && /^\d{1,9}$/.test(header)
    ? Math.min(60_000, Number(header) * 1_000)
    : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
