import type { DaybookError } from "./errors.js";
import { FRESH_TOKENS_MAX, type RetryMs, type Step, stepIn, type Table } from "./machine.js";

/**
 * How a topic is joined, and joined again.
 *
 *           start        up             joined
 *     idle ──────▶ down ────▶ joining ─────────▶ joined ──▶ (kicked) waiting ──▶ joining …
 *                                │ refused          │ token_expired
 *                                ▼                  ▼
 *               waiting, refreshing or ended    refreshing ──▶ joining …
 *
 * Its one timer runs while `joining` (no answer came) and while `waiting` (try again).
 */
export interface TopicState {
  readonly kind: "idle" | "down" | "joining" | "joined" | "waiting" | "refreshing" | "ended" | "closed";
  /** The connection below is up. */
  readonly isUp: boolean;
  /** In a row, until something was received. */
  readonly failures: number;
  /**
   * Tokens fetched one after the other because the one before was refused. Not every refusal is the last word: a device
   * that sleeps between fetching and using a token wakes up with one that has ended.
   */
  readonly freshTokens: number;
  /** Why it ended, or needs another token. */
  readonly reason?: DaybookError;
}

export type TopicEvent =
  | {
      readonly kind:
        | "start"
        | "up"
        | "down"
        | "joined"
        | "received"
        /** The server closed the topic, and wants it to be joined again. */
        | "kicked"
        | "token_expired"
        /** A token has come. */
        | "token"
        | "timer"
        | "close";
    }
  /** The join was refused; the server closed the topic for good; there will be no other token. */
  | { readonly kind: "refused" | "shut" | "no_token"; readonly error: DaybookError };

export type TopicEffect =
  | { readonly kind: "join" | "leave" | "refresh" | "stop_timer" }
  | { readonly kind: "timer"; readonly ms: number };

export const JOIN_MS = 10_000;

export const NOT_STARTED: TopicState = { kind: "idle", isUp: false, failures: 0, freshTokens: 0 };

type Next = Step<TopicState, TopicEffect>;

const UP_AND_DOWN = {
  up: (state: TopicState): Next => become({ ...state, isUp: true }, state.kind),
  down: (state: TopicState): Next => become({ ...state, isUp: false }, state.kind),
} as const;
const CLOSE = (state: TopicState): Next => become(state, "closed", { kind: "stop_timer" });
const LEAVE = (state: TopicState): Next => become(state, "closed", { kind: "leave" }, { kind: "stop_timer" });
const GO_DOWN = (state: TopicState): Next =>
  become({ ...state, isUp: false, freshTokens: 0 }, "down", { kind: "stop_timer" });

const TABLE: Table<TopicState, TopicEvent, TopicEffect> = {
  idle: { ...UP_AND_DOWN, start: begin, close: CLOSE },
  down: {
    ...UP_AND_DOWN,
    up: (state) => tryJoin({ ...state, isUp: true }),
    // The token is what kept the connection from opening.
    token_expired: fetchToken,
    close: CLOSE,
  },
  joining: {
    ...UP_AND_DOWN,
    down: GO_DOWN,
    joined: ({ isUp, failures }) =>
      become({ ...NOT_STARTED, isUp, failures }, "joined", { kind: "stop_timer" }),
    refused: (state, { error }, retryMs) => afterRefusal(state, error, retryMs),
    shut: (state, { error }) => end(state, error),
    kicked: (state, _event, retryMs) => wait(state, retryMs),
    token_expired: fetchToken,
    // The answer may still be on its way: whoever leaves is not joined by it.
    timer: (state, _event, retryMs) => wait(state, retryMs, { kind: "leave" }),
    close: LEAVE,
  },
  joined: {
    ...UP_AND_DOWN,
    down: GO_DOWN,
    received: (state) => become({ ...state, failures: 0 }, "joined"),
    kicked: (state, _event, retryMs) => wait(state, retryMs),
    token_expired: fetchToken,
    shut: (state, { error }) => end(state, error),
    close: LEAVE,
  },
  waiting: { ...UP_AND_DOWN, down: GO_DOWN, timer: tryJoin, close: CLOSE },
  refreshing: {
    ...UP_AND_DOWN,
    token: tryJoin,
    // What the old token was refused for says more than that there is no new one.
    no_token: (state, { error }) => end(state, state.reason ?? error),
    close: CLOSE,
  },
  ended: { ...UP_AND_DOWN, start: begin, close: CLOSE },
  closed: {},
};

export function stepTopic(state: TopicState, event: TopicEvent, retryMs: RetryMs): Next {
  return stepIn(TABLE, state, event, retryMs);
}

function become(state: TopicState, kind: TopicState["kind"], ...effects: readonly TopicEffect[]): Next {
  return { state: { ...state, kind }, effects };
}

function begin({ isUp }: TopicState): Next {
  return tryJoin({ ...NOT_STARTED, isUp });
}

function tryJoin(state: TopicState): Next {
  if (!state.isUp) return become(state, "down");
  return become(state, "joining", { kind: "join" }, { kind: "timer", ms: JOIN_MS });
}

function afterRefusal(state: TopicState, error: DaybookError, retryMs: RetryMs): Next {
  if (error.retryable) return wait(state, retryMs);
  return error.isAuth && state.freshTokens < FRESH_TOKENS_MAX
    ? fetchToken({ ...state, freshTokens: state.freshTokens + 1, reason: error })
    : end(state, error);
}

function fetchToken(state: TopicState): Next {
  return become(state, "refreshing", { kind: "stop_timer" }, { kind: "refresh" });
}

function wait(state: TopicState, retryMs: RetryMs, ...effects: readonly TopicEffect[]): Next {
  const failures = state.failures + 1;
  return become({ ...state, failures, freshTokens: 0 }, "waiting", ...effects, {
    kind: "timer",
    ms: retryMs(failures),
  });
}

function end(state: TopicState, reason: DaybookError): Next {
  return become({ ...state, reason }, "ended", { kind: "stop_timer" });
}
