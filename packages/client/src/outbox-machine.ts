import type { DaybookError } from "./errors.js";
import { FRESH_TOKENS_MAX, type RetryMs, type Step, stepIn, type Table } from "./machine.js";

/**
 * When an outbox sends, waits and stops.
 *
 *            queued            next, if there is more
 *     empty ───────▶ sending ─────────────────────────▶ sending …
 *                       │ failed ──▶ waiting, or refreshing for another token ──▶ sending
 *                       ▼ refused
 *                     paused ──▶ (resume, or next after it was discarded) sending
 *
 * Its one timer runs while `waiting`.
 */
export interface OutboxState {
  readonly kind: "empty" | "sending" | "waiting" | "refreshing" | "paused" | "closed";
  /** In a row. */
  readonly failures: number;
  /**
   * Tokens fetched one after the other because the one before was refused. Not every refusal is the last word: a device
   * that sleeps between fetching and using a token wakes up with one that has ended.
   */
  readonly freshTokens: number;
  /** Why it waits or is paused. */
  readonly reason?: DaybookError;
}

export type OutboxEvent =
  /** A token has come; the network came back. */
  | { readonly kind: "queued" | "timer" | "wake" | "token" | "close" }
  /** What stood in front is out of the way: acknowledged, seen on the tail, dropped, or to be sent in smaller parts. */
  | { readonly kind: "next" | "resume"; readonly isEmpty: boolean }
  /** It may be taken the next time; it will not be taken; there will be no other token. */
  | { readonly kind: "failed" | "refused" | "no_token"; readonly error: DaybookError };

export type OutboxEffect =
  | { readonly kind: "send" | "abort" | "refresh" | "stop_timer" }
  | { readonly kind: "timer"; readonly ms: number };

export const EMPTY: OutboxState = { kind: "empty", failures: 0, freshTokens: 0 };

type Next = Step<OutboxState, OutboxEffect>;

const CLOSE = (state: OutboxState): Next =>
  become(state, "closed", { kind: "abort" }, { kind: "stop_timer" });
const SEND_AGAIN = (state: OutboxState): Next =>
  become(state, "sending", { kind: "stop_timer" }, { kind: "send" });

const TABLE: Table<OutboxState, OutboxEvent, OutboxEffect> = {
  empty: { queued: () => goOn(false), close: CLOSE },
  sending: {
    next: (_state, { isEmpty }) => goOn(isEmpty),
    failed: (state, { error }, retryMs) => afterFailure(state, error, retryMs),
    refused: (state, { error }) => pause(state, error),
    // The answer may never come over a network that was gone. A second try does no harm.
    wake: (state) => become(state, "sending", { kind: "abort" }, { kind: "send" }),
    close: CLOSE,
  },
  waiting: {
    timer: SEND_AGAIN,
    wake: SEND_AGAIN,
    next: (_state, { isEmpty }) => goOn(isEmpty, { kind: "stop_timer" }),
    close: CLOSE,
  },
  refreshing: {
    token: SEND_AGAIN,
    // What the old token was refused for says more than that there is no new one.
    no_token: (state, { error }) => pause(state, state.reason ?? error),
    // What is left needs the token that is being fetched.
    next: (state, { isEmpty }) => (isEmpty ? goOn(true) : { state, effects: [] }),
    close: CLOSE,
  },
  paused: {
    resume: (_state, { isEmpty }) => goOn(isEmpty),
    next: (_state, { isEmpty }) => goOn(isEmpty),
    close: CLOSE,
  },
  closed: {},
};

export function stepOutbox(state: OutboxState, event: OutboxEvent, retryMs: RetryMs): Next {
  return stepIn(TABLE, state, event, retryMs);
}

function become(state: OutboxState, kind: OutboxState["kind"], ...effects: readonly OutboxEffect[]): Next {
  return { state: { ...state, kind }, effects };
}

function goOn(isEmpty: boolean, ...effects: readonly OutboxEffect[]): Next {
  return isEmpty ? { state: EMPTY, effects } : become(EMPTY, "sending", ...effects, { kind: "send" });
}

function afterFailure(state: OutboxState, error: DaybookError, retryMs: RetryMs): Next {
  if (error.isAuth) {
    if (state.freshTokens >= FRESH_TOKENS_MAX) return pause(state, error);
    const freshTokens = state.freshTokens + 1;
    return become({ ...state, freshTokens, reason: error }, "refreshing", { kind: "refresh" });
  }
  const failures = state.failures + 1;
  const ms = Math.max(error.retryAfterMs ?? 0, retryMs(failures));
  return become({ ...state, failures, freshTokens: 0, reason: error }, "waiting", { kind: "timer", ms });
}

function pause(state: OutboxState, reason: DaybookError): Next {
  return become({ ...state, reason }, "paused");
}
