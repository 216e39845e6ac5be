import { type RetryMs, type Step, stepIn, type Table } from "./machine.js";

/**
 * When a socket is opened, kept and given up.
 *
 *            wanted             opened             lost, or silent
 *     idle ─────────▶ connecting ─────────▶ open ──────────────────▶ waiting ──▶ connecting …
 *
 * One timer is enough: what it means follows from the state. `connecting`: it takes too long. `open`: look whether the
 * other end said anything since it was last asked, and ask again. `waiting`: try again.
 */
export interface ConnectionState {
  readonly kind: "idle" | "connecting" | "open" | "waiting" | "closed";
  /** In a row, until something was received: a connection that opens and says nothing is no good one. */
  readonly failures: number;
  /** Something came since the last heartbeat was sent. */
  readonly heard: boolean;
}

export interface ConnectionEvent {
  readonly kind:
    | "wanted"
    | "unwanted"
    | "opened"
    /** The socket is gone, or could not be opened. */
    | "lost"
    /** Something was received. */
    | "received"
    | "timer"
    /** The network is back, or the page is seen again. */
    | "wake"
    | "close";
}

export type ConnectionEffect =
  | { readonly kind: "open" | "drop" | "heartbeat" | "up" | "down" | "stop_timer" }
  | { readonly kind: "timer"; readonly ms: number };

export const CONNECT_MS = 10_000;
export const HEARTBEAT_MS = 15_000;
/** After waking a dead connection should be found at once, and a slow one still be kept. */
export const WAKE_ANSWER_MS = 3_000;

export const NOT_CONNECTED: ConnectionState = { kind: "idle", failures: 0, heard: false };

type Next = Step<ConnectionState, ConnectionEffect>;

const TABLE: Table<ConnectionState, ConnectionEvent, ConnectionEffect> = {
  idle: {
    wanted: connect,
    close: (state) => become(state, "closed"),
  },
  connecting: {
    opened: (state) => become({ ...state, heard: true }, "open", { kind: "up" }, timer(HEARTBEAT_MS)),
    lost: (state, _event, retryMs) => wait(state, retryMs),
    timer: (state, _event, retryMs) => wait(state, retryMs, { kind: "drop" }),
    unwanted: () => become(NOT_CONNECTED, "idle", { kind: "drop" }, { kind: "stop_timer" }),
    close: (state) => become(state, "closed", { kind: "drop" }, { kind: "stop_timer" }),
  },
  open: {
    received: (state) => become({ ...state, failures: 0, heard: true }, "open"),
    timer: (state, _event, retryMs) =>
      state.heard ? ask(state, HEARTBEAT_MS) : wait(state, retryMs, { kind: "drop" }, { kind: "down" }),
    wake: (state) => ask(state, WAKE_ANSWER_MS),
    lost: (state, _event, retryMs) => wait(state, retryMs, { kind: "down" }),
    unwanted: () => become(NOT_CONNECTED, "idle", { kind: "drop" }, { kind: "stop_timer" }),
    close: (state) => become(state, "closed", { kind: "drop" }, { kind: "down" }, { kind: "stop_timer" }),
  },
  waiting: {
    timer: connect,
    wake: connect,
    unwanted: () => become(NOT_CONNECTED, "idle", { kind: "stop_timer" }),
    close: (state) => become(state, "closed", { kind: "stop_timer" }),
  },
  closed: {},
};

export function stepConnection(state: ConnectionState, event: ConnectionEvent, retryMs: RetryMs): Next {
  return stepIn(TABLE, state, event, retryMs);
}

function become(
  state: ConnectionState,
  kind: ConnectionState["kind"],
  ...effects: readonly ConnectionEffect[]
): Next {
  return { state: { ...state, kind }, effects };
}

function timer(ms: number): ConnectionEffect {
  return { kind: "timer", ms };
}

function connect(state: ConnectionState): Next {
  return become(state, "connecting", { kind: "open" }, timer(CONNECT_MS));
}

function ask(state: ConnectionState, answerMs: number): Next {
  return become({ ...state, heard: false }, "open", { kind: "heartbeat" }, timer(answerMs));
}

function wait(state: ConnectionState, retryMs: RetryMs, ...effects: readonly ConnectionEffect[]): Next {
  const failures = state.failures + 1;
  return become({ ...state, failures }, "waiting", ...effects, timer(retryMs(failures)));
}
