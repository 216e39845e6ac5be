import { EVENT_BYTES } from "../http-context.js";
import { sessionId, type Target } from "../load-task.js";
import { type BesideContext, compare } from "./beside-context.js";
import type { Comparison, Measure } from "./comparison.js";
import type { Contender } from "./contender.js";
import { daybookAtMost } from "./goals.js";
import { usageOf } from "./process-tree.js";

const LONG_EVENTS = 40_000;
const LONG = { prefix: "long-", count: 1 };
const PAGE = 100;
const TIMES = 200;

async function fillLong(context: BesideContext, { target }: Contender): Promise<void> {
  await context.load<"create">({ kind: "create", target, sessions: LONG });
  await context.load<"fill">({
    kind: "fill",
    target,
    sessions: LONG,
    eventsPerSession: LONG_EVENTS,
    eventsPerRequest: 100,
    eventBytes: EVENT_BYTES,
  });
}

/** A whole long session over one tail. */
export async function replay(context: BesideContext): Promise<Comparison> {
  const measures = [
    { key: "rate", title: "events/s" },
    { key: "ms", title: "ms in all" },
    { key: "cpu", title: "CPU µs/event" },
  ] as const satisfies readonly Measure[];
  return compare(context, {
    title: `replay of a session of ${LONG_EVENTS.toLocaleString("en-US")} events over one tail`,
    measures,
    variants: [
      {
        name: "whole session",
        prepare: (contender) => fillLong(context, contender),
        measure: async ({ target, pids }) => {
          const before = await usageOf(pids);
          const { ms } = await context.load<"replay">({
            kind: "replay",
            target,
            sessions: LONG,
            events: LONG_EVENTS,
          });
          const { cpuSeconds } = await usageOf(pids);
          const cpu = ((cpuSeconds - before.cpuSeconds) / LONG_EVENTS) * 1e6;
          return { values: { rate: LONG_EVENTS / (ms / 1000), ms, cpu }, notes: [] };
        },
      },
    ],
  });
}

/** What a person waits for who opens a long session: its newest events, as a server that has just started gives them. */
export async function reopen(context: BesideContext): Promise<Comparison> {
  const measures = [
    { key: "first", title: "first request ms" },
    { key: "p50", title: "then p50 ms" },
    { key: "p99", title: "then p99 ms" },
  ] as const satisfies readonly Measure[];
  const comparison = await compare(context, {
    title: `newest ${PAGE} of ${LONG_EVENTS.toLocaleString("en-US")} events, after a restart`,
    measures,
    variants: [
      {
        name: "newest page",
        prepare: (contender) => fillLong(context, contender),
        measure: async (contender) => {
          await contender.end("SIGTERM");
          await contender.run();
          const { target } = contender;
          const [path, notes] = newestPage(target);
          const once = await context.load<"get">({ kind: "get", target, path, times: 1 });
          const { latency } = await context.load<"get">({ kind: "get", target, path, times: TIMES });
          const { p50, p99, curve } = latency;
          return { values: { first: once.latency.max, p50, p99 }, curve, notes };
        },
      },
    ],
  });
  return { ...comparison, goals: daybookAtMost(comparison, "newest page", { first: 50 }) };
}

/** Where a protocol has no way back from the end, its clients read it all. */
function newestPage({ api = "sessions" }: Target): [path: string, notes: string[]] {
  const id = sessionId(LONG, 0);
  const last = Number.MAX_SAFE_INTEGER;
  return api === "sessions"
    ? [`/v1/sessions/${id}/events?before=${last}&limit=${PAGE}`, []]
    : [`/v1/stream/${id}?offset=-1`, ["reads the whole stream"]];
}
