import { Random } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import { DaybookError } from "./errors.js";
import {
  JOIN_MS,
  NOT_STARTED,
  stepTopic,
  type TopicEffect,
  type TopicEvent,
  type TopicState,
} from "./topic-machine.js";

const GONE = new DaybookError("session_not_found", "Gone.", { status: 404 });
const AUTH = new DaybookError("unauthorized", "Expired.", { status: 401 });
const LATER = new DaybookError("storage_unavailable", "Not now.", { status: 503, retryable: true });

const STATES: readonly TopicState["kind"][] = [
  "idle",
  "down",
  "joining",
  "joined",
  "waiting",
  "refreshing",
  "ended",
  "closed",
];
const EVENTS: Readonly<Record<string, TopicEvent>> = {
  start: { kind: "start" },
  up: { kind: "up" },
  down: { kind: "down" },
  joined: { kind: "joined" },
  received: { kind: "received" },
  kicked: { kind: "kicked" },
  token_expired: { kind: "token_expired" },
  token: { kind: "token" },
  timer: { kind: "timer" },
  close: { kind: "close" },
  "refused: gone": { kind: "refused", error: GONE },
  "refused: auth": { kind: "refused", error: AUTH },
  "refused: later": { kind: "refused", error: LATER },
  shut: { kind: "shut", error: GONE },
  no_token: { kind: "no_token", error: AUTH },
};

const retryMs = (failures: number): number => failures;
const shown = (effect: TopicEffect): string => (effect.kind === "timer" ? `timer ${effect.ms}` : effect.kind);

function step(state: TopicState, event: TopicEvent | undefined): string {
  if (event === undefined) throw new Error("there is no such event");
  const { state: next, effects } = stepTopic(state, event, retryMs);
  return [marked(next), ...effects.map(shown)].join(" | ");
}

function marked({ kind, isUp, failures, freshTokens, reason }: TopicState): string {
  const marks = [
    isUp ? "up" : "",
    failures > 0 ? `failures ${failures}` : "",
    freshTokens > 0 ? `fresh ${freshTokens}` : "",
  ];
  return [kind, ...marks, reason?.code ?? ""].filter((mark) => mark !== "").join(" ");
}

/** From a state that has failed once, over a connection that is up. */
const from = (kind: TopicState["kind"]): TopicState => ({
  kind,
  isUp: true,
  failures: 1,
  freshTokens: 0,
});

/** The whole table. A cell that is not here leaves everything as it is. */
const CELLS: Readonly<Record<string, string>> = {
  "idle start": `joining up | join | timer ${JOIN_MS}`,
  "idle down": "idle failures 1",
  "idle close": "closed up failures 1 | stop_timer",

  "down up": `joining up failures 1 | join | timer ${JOIN_MS}`,
  "down down": "down failures 1",
  "down token_expired": "refreshing up failures 1 | stop_timer | refresh",
  "down close": "closed up failures 1 | stop_timer",

  "joining joined": "joined up failures 1 | stop_timer",
  "joining down": "down failures 1 | stop_timer",
  "joining refused: gone": "ended up failures 1 session_not_found | stop_timer",
  "joining refused: auth": "refreshing up failures 1 fresh 1 unauthorized | stop_timer | refresh",
  "joining refused: later": "waiting up failures 2 | timer 2",
  "joining shut": "ended up failures 1 session_not_found | stop_timer",
  "joining kicked": "waiting up failures 2 | timer 2",
  "joining token_expired": "refreshing up failures 1 | stop_timer | refresh",
  "joining timer": "waiting up failures 2 | leave | timer 2",
  "joining close": "closed up failures 1 | leave | stop_timer",

  "joined received": "joined up",
  "joined down": "down failures 1 | stop_timer",
  "joined kicked": "waiting up failures 2 | timer 2",
  "joined token_expired": "refreshing up failures 1 | stop_timer | refresh",
  "joined shut": "ended up failures 1 session_not_found | stop_timer",
  "joined close": "closed up failures 1 | leave | stop_timer",

  "waiting timer": `joining up failures 1 | join | timer ${JOIN_MS}`,
  "waiting down": "down failures 1 | stop_timer",
  "waiting close": "closed up failures 1 | stop_timer",

  "refreshing token": `joining up failures 1 | join | timer ${JOIN_MS}`,
  "refreshing no_token": "ended up failures 1 unauthorized | stop_timer",
  "refreshing down": "refreshing failures 1",
  "refreshing close": "closed up failures 1 | stop_timer",

  "ended start": `joining up | join | timer ${JOIN_MS}`,
  "ended down": "ended failures 1",
  "ended close": "closed up failures 1 | stop_timer",
};

describe("the topic machine", () => {
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

  test("over a connection that is down it waits for that", () => {
    const down = { ...from("idle"), isUp: false };
    expect(step(down, EVENTS.start)).toBe("down");
    expect(step({ ...from("refreshing"), isUp: false }, EVENTS.token)).toBe("down failures 1");
    expect(step(down, EVENTS.up)).toBe("idle up failures 1");
  });

  test("when three fresh tokens in a row are refused it ends: so would be a fourth", () => {
    const fresh = (freshTokens: number): TopicState => ({ ...from("joining"), freshTokens });
    expect(step(fresh(2), EVENTS["refused: auth"])).toBe(
      "refreshing up failures 1 fresh 3 unauthorized | stop_timer | refresh",
    );
    expect(step(fresh(3), EVENTS["refused: auth"])).toBe(
      "ended up failures 1 fresh 3 unauthorized | stop_timer",
    );
    expect(step(fresh(3), EVENTS.joined)).toBe("joined up failures 1 | stop_timer");
    // A token may end while it waits to be used.
    expect(step(fresh(3), EVENTS["refused: later"])).toBe("waiting up failures 2 | timer 2");
    expect(step(fresh(3), EVENTS.down)).toBe("down failures 1 | stop_timer");
  });

  test("without another token it ends with what the one before was refused for", () => {
    const forbidden = new DaybookError("forbidden_scope", "Not this.", { status: 403 });
    const { state } = stepTopic(from("joining"), { kind: "refused", error: forbidden }, retryMs);
    expect(step(state, EVENTS.no_token)).toBe("ended up failures 1 fresh 1 forbidden_scope | stop_timer");
  });

  test("whatever happens: it is never stuck", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = new Random(seed);
      let state = NOT_STARTED;
      let hasTimer = false;
      let isRefreshing = false;
      for (let count = 0; count < 200; count++) {
        const event = random.pick(
          Object.values(EVENTS).filter(({ kind }) => kind !== "close" || random.chance(0.02)),
        );
        if (event.kind === "timer" && !hasTimer) continue;
        if ((event.kind === "token" || event.kind === "no_token") && !isRefreshing) continue;
        if (event.kind === "timer") hasTimer = false;
        if (event.kind === "token" || event.kind === "no_token") isRefreshing = false;
        const { state: next, effects } = stepTopic(state, event, retryMs);
        for (const { kind } of effects) {
          if (kind === "timer") hasTimer = true;
          if (kind === "stop_timer") hasTimer = false;
          if (kind === "refresh") isRefreshing = true;
        }
        state = next;
        const awaited = {
          joining: hasTimer && state.isUp,
          waiting: hasTimer && state.isUp,
          refreshing: isRefreshing,
          down: !state.isUp,
          joined: state.isUp,
          idle: true,
          ended: state.reason !== undefined,
          closed: true,
        }[state.kind];
        expect(awaited, `seed ${seed}, ${event.kind} → ${marked(state)}`).toBe(true);
      }
    }
  });
});
