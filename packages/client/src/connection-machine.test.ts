import { Random } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import {
  CONNECT_MS,
  type ConnectionEffect,
  type ConnectionEvent,
  type ConnectionState,
  HEARTBEAT_MS,
  NOT_CONNECTED,
  stepConnection,
  WAKE_ANSWER_MS,
} from "./connection-machine.js";

type Kind = ConnectionState["kind"];
type EventKind = ConnectionEvent["kind"];

const STATES: readonly Kind[] = ["idle", "connecting", "open", "waiting", "closed"];
const EVENTS: readonly EventKind[] = [
  "wanted",
  "unwanted",
  "opened",
  "lost",
  "received",
  "timer",
  "wake",
  "close",
];

/** Each wait is told apart by how many failures it is for. */
const retryMs = (failures: number): number => failures;
const shown = (effect: ConnectionEffect): string =>
  effect.kind === "timer" ? `timer ${effect.ms}` : effect.kind;

function step(state: ConnectionState, kind: EventKind): string {
  const { state: next, effects } = stepConnection(state, { kind }, retryMs);
  const marks = `${next.failures > 0 ? ` failures ${next.failures}` : ""}${next.heard ? " heard" : ""}`;
  return [`${next.kind}${marks}`, ...effects.map(shown)].join(" | ");
}

/** From a state that has failed once and heard something: everything a step may keep or forget can be seen. */
const from = (kind: Kind): ConnectionState => ({ kind, failures: 1, heard: true });

/** The whole table. A cell that is not here leaves everything as it is. */
const CELLS: Readonly<Record<string, string>> = {
  "idle wanted": `connecting failures 1 heard | open | timer ${CONNECT_MS}`,
  "idle close": "closed failures 1 heard",

  "connecting opened": `open failures 1 heard | up | timer ${HEARTBEAT_MS}`,
  "connecting lost": "waiting failures 2 heard | timer 2",
  "connecting timer": "waiting failures 2 heard | drop | timer 2",
  "connecting unwanted": "idle | drop | stop_timer",
  "connecting close": "closed failures 1 heard | drop | stop_timer",

  "open received": "open heard",
  "open timer": `open failures 1 | heartbeat | timer ${HEARTBEAT_MS}`,
  "open wake": `open failures 1 | heartbeat | timer ${WAKE_ANSWER_MS}`,
  "open lost": "waiting failures 2 heard | down | timer 2",
  "open unwanted": "idle | drop | stop_timer",
  "open close": "closed failures 1 heard | drop | down | stop_timer",

  "waiting timer": `connecting failures 1 heard | open | timer ${CONNECT_MS}`,
  "waiting wake": `connecting failures 1 heard | open | timer ${CONNECT_MS}`,
  "waiting unwanted": "idle | stop_timer",
  "waiting close": "closed failures 1 heard | stop_timer",
};

describe("the connection machine", () => {
  test.each(STATES.flatMap((state) => EVENTS.map((event) => [state, event] as const)))(
    "%s, %s",
    (state, event) => {
      const unchanged = `${state} failures 1 heard`;
      expect(step(from(state), event)).toBe(CELLS[`${state} ${event}`] ?? unchanged);
    },
  );

  test("every cell of the table is one of the machine's", () => {
    const all = STATES.flatMap((state) => EVENTS.map((event) => `${state} ${event}`));
    expect(Object.keys(CELLS).filter((cell) => !all.includes(cell))).toEqual([]);
  });

  test("a heartbeat that nothing came after means that the other end is gone", () => {
    const asked: ConnectionState = { kind: "open", failures: 0, heard: false };
    expect(step(asked, "timer")).toBe("waiting failures 1 | drop | down | timer 1");
    expect(step(asked, "received")).toBe("open heard");
  });

  test("whatever happens: one socket at most, up and down in turns, and a timer while anything is awaited", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Random(seed);
      let state = NOT_CONNECTED;
      let sockets = 0;
      let isUp = false;
      let hasTimer = false;
      for (let count = 0; count < 200; count++) {
        const event = random.pick(EVENTS.filter((kind) => kind !== "close" || random.chance(0.02)));
        // What cannot happen: a timer that does not run, news of a socket that is not there.
        if (event === "timer" && !hasTimer) continue;
        if (["opened", "lost", "received"].includes(event) && sockets === 0) continue;
        if (event === "timer") hasTimer = false;
        if (event === "lost") sockets--;
        const { state: next, effects } = stepConnection(state, { kind: event }, retryMs);
        for (const { kind } of effects) {
          if (kind === "open") sockets++;
          if (kind === "drop") sockets--;
          if (kind === "timer") hasTimer = true;
          if (kind === "stop_timer") hasTimer = false;
          if (kind === "up" || kind === "down") {
            expect(isUp, `seed ${seed}`).toBe(kind === "down");
            isUp = kind === "up";
          }
        }
        state = next;
        // With nobody there, nobody needs to be told.
        if (state.kind === "idle") isUp = false;
        const holds = state.kind === "connecting" || state.kind === "open";
        expect([sockets, isUp, hasTimer], `seed ${seed}, ${event} → ${state.kind}`).toEqual([
          holds ? 1 : 0,
          state.kind === "open",
          holds || state.kind === "waiting",
        ]);
      }
    }
  });
});
