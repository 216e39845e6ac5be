import { describe, expect, test } from "vitest";
import { DaybookError } from "./errors.js";
import { type OutboxEffect, type OutboxEvent, type OutboxState, stepOutbox } from "./outbox-machine.js";

const BAD = new DaybookError("event_too_large", "Too large.", { status: 413 });
const AUTH = new DaybookError("unauthorized", "Expired.", { status: 401 });
const LATER = new DaybookError("storage_unavailable", "Not now.", { status: 503, retryable: true });
const MUCH_LATER = new DaybookError("rate_limited", "Not now.", { status: 429, retryAfterMs: 3_000 });

const STATES: readonly OutboxState["kind"][] = [
  "empty",
  "sending",
  "waiting",
  "refreshing",
  "paused",
  "closed",
];
const EVENTS: Readonly<Record<string, OutboxEvent>> = {
  queued: { kind: "queued" },
  timer: { kind: "timer" },
  wake: { kind: "wake" },
  token: { kind: "token" },
  close: { kind: "close" },
  "next, none": { kind: "next", isEmpty: true },
  "next, more": { kind: "next", isEmpty: false },
  "resume, none": { kind: "resume", isEmpty: true },
  "resume, more": { kind: "resume", isEmpty: false },
  "failed: later": { kind: "failed", error: LATER },
  "failed: much later": { kind: "failed", error: MUCH_LATER },
  "failed: auth": { kind: "failed", error: AUTH },
  refused: { kind: "refused", error: BAD },
  no_token: { kind: "no_token", error: AUTH },
};

const retryMs = (failures: number): number => failures;
const shown = (effect: OutboxEffect): string =>
  effect.kind === "timer" ? `timer ${effect.ms}` : effect.kind;

function step(state: OutboxState, event: OutboxEvent | undefined): string {
  if (event === undefined) throw new Error("there is no such event");
  const { state: next, effects } = stepOutbox(state, event, retryMs);
  return [marked(next), ...effects.map(shown)].join(" | ");
}

function marked({ kind, failures, freshTokens, reason }: OutboxState): string {
  const marks = [
    failures > 0 ? `failures ${failures}` : "",
    freshTokens > 0 ? `fresh ${freshTokens}` : "",
    reason?.code ?? "",
  ];
  return [kind, ...marks].filter((mark) => mark !== "").join(" ");
}

/** From a state that has failed once. */
const from = (kind: OutboxState["kind"]): OutboxState => ({ kind, failures: 1, freshTokens: 0 });

/** The whole table. A cell that is not here leaves everything as it is. */
const CELLS: Readonly<Record<string, string>> = {
  "empty queued": "sending | send",
  "empty close": "closed failures 1 | abort | stop_timer",

  "sending next, none": "empty",
  "sending next, more": "sending | send",
  "sending failed: later": "waiting failures 2 storage_unavailable | timer 2",
  "sending failed: much later": "waiting failures 2 rate_limited | timer 3000",
  "sending failed: auth": "refreshing failures 1 fresh 1 unauthorized | refresh",
  "sending refused": "paused failures 1 event_too_large",
  "sending wake": "sending failures 1 | abort | send",
  "sending close": "closed failures 1 | abort | stop_timer",

  "waiting timer": "sending failures 1 | stop_timer | send",
  "waiting wake": "sending failures 1 | stop_timer | send",
  "waiting next, none": "empty | stop_timer",
  "waiting next, more": "sending | stop_timer | send",
  "waiting close": "closed failures 1 | abort | stop_timer",

  "refreshing token": "sending failures 1 | stop_timer | send",
  "refreshing no_token": "paused failures 1 unauthorized",
  "refreshing next, none": "empty",
  "refreshing close": "closed failures 1 | abort | stop_timer",

  "paused resume, none": "empty",
  "paused resume, more": "sending | send",
  "paused next, none": "empty",
  "paused next, more": "sending | send",
  "paused close": "closed failures 1 | abort | stop_timer",
};

describe("the outbox machine", () => {
  test.each(STATES.flatMap((state) => Object.keys(EVENTS).map((event) => [state, event] as const)))(
    "%s, %s",
    (state, event) => {
      expect(step(from(state), EVENTS[event])).toBe(CELLS[`${state} ${event}`] ?? marked(from(state)));
    },
  );

  test("every cell of the table is one of the machine's", () => {
    const all = STATES.flatMap((state) => Object.keys(EVENTS).map((event) => `${state} ${event}`));
    expect(Object.keys(CELLS).filter((cell) => !all.includes(cell))).toEqual([]);
  });

  test("when three fresh tokens in a row are refused it pauses: so would be a fourth", () => {
    const fresh = (freshTokens: number): OutboxState => ({ ...from("sending"), freshTokens });
    expect(step(fresh(2), EVENTS["failed: auth"])).toBe(
      "refreshing failures 1 fresh 3 unauthorized | refresh",
    );
    expect(step(fresh(3), EVENTS["failed: auth"])).toBe("paused failures 1 fresh 3 unauthorized");
    // A token may end while it waits to be used.
    expect(step(fresh(3), EVENTS["failed: later"])).toBe("waiting failures 2 storage_unavailable | timer 2");
    expect(step(fresh(3), EVENTS["next, more"])).toBe("sending | send");
  });
});
