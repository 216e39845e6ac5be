import { setTimeout as sleep } from "node:timers/promises";
import {
  fillSessions,
  halfOfPeak,
  type HttpContext,
  interleave,
  measureAppends,
  type Measured,
  notes,
} from "./http-context.js";
import type { LoadGenerator } from "./http-generator.js";
import type { BenchServer } from "./http-server.js";
import { sessionId } from "./load-task.js";
import { judged, median, type Row, showNumber, spread } from "./row.js";

const LONG_EVENTS = 40_000;
const LOOK_MS = 50;

/** @returns its id */
async function longSession(server: BenchServer, generator: LoadGenerator, prefix: string): Promise<string> {
  const sessions = { prefix, count: 1 };
  await fillSessions(server, generator, { sessions, eventsPerSession: LONG_EVENTS });
  return sessionId(sessions, 0);
}

/** Erasing a long session while others append. */
export async function erasure(context: HttpContext): Promise<Row[]> {
  const [server, generator, filler] = [await context.server(), context.generator(), context.generator()];
  const sessions = { prefix: "other-", count: 640 };
  await generator.run({ kind: "create", target: server.target, sessions });
  // The first request of a kind makes V8 translate anew what had only seen appends: that is the start of a server, and
  // not what an erasure costs.
  await erase(server, await longSession(server, filler, "first-"));
  const rate = await halfOfPeak(context, server, generator, { sessions });
  const append = (): Promise<Measured> =>
    measureAppends(context, server, generator, { sessions, requestsPerSecond: rate, warmUpSeconds: 0.5 });
  const eraseMs: number[] = [];
  const results = await interleave(context, {
    quiet: append,
    erasing: async (round) => {
      const long = await longSession(server, filler, `erase${round}-`);
      const appending = append();
      await sleep(600);
      eraseMs.push(await erase(server, long));
      return appending;
    },
  });
  const p99 = (rounds: readonly Measured[]): number[] => rounds.map(({ latency }) => latency.p99);
  const [quiet, erasing] = [p99(results.quiet), p99(results.erasing)];
  const at = `open loop at ${showNumber(rate)} events/s, half of peak`;
  return [
    judged(
      {
        name: `erasing ${showNumber(LONG_EVENTS)} events, until no byte is left in the log`,
        value: median(eraseMs),
        unit: "ms",
        note: spread(eraseMs),
      },
      { atMost: 2_000 },
    ),
    judged(
      {
        name: "other appends' p99 meanwhile",
        value: median(erasing),
        unit: "ms",
        note: notes(spread(erasing), at),
      },
      { atMost: 20 },
    ),
    { name: "  and without an erasure", value: median(quiet), unit: "ms", note: spread(quiet) },
  ];
}

async function erase(server: BenchServer, id: string): Promise<number> {
  const startedAt = performance.now();
  await server.call("DELETE", `/v1/sessions/${id}`);
  while ((await server.metric("daybook_erasures_pending")) > 0) await sleep(LOOK_MS);
  return performance.now() - startedAt;
}

const EVENTS_PER_SESSION = 50;

/** From the command to a port that answers. */
export async function startUp(context: HttpContext): Promise<Row[]> {
  const { quick, full } = context.options;
  const [server, generator] = [await context.server(), context.generator()];
  const empty = [await restarted(server, "SIGTERM")];
  const events = full ? 5_000_000 : quick ? 50_000 : 300_000;
  const filled = (prefix: string, count: number): Promise<void> =>
    fillSessions(server, generator, { sessions: { prefix, count }, eventsPerSession: EVENTS_PER_SESSION });
  await filled("start-", events / EVENTS_PER_SESSION);
  const results = await interleave(context, {
    // The first of them comes right after all events were written: views are furthest behind then.
    killed: async (round) => {
      await filled(`more${round}-`, 200);
      return restarted(server, "SIGKILL");
    },
    clean: () => restarted(server, "SIGTERM"),
  });
  const row = (name: string, values: readonly number[]): Row => ({
    name,
    value: median(values),
    unit: "ms",
    note: spread(values),
  });
  const stored = `${showNumber(events)} events in ${showNumber(events / EVENTS_PER_SESSION)} sessions`;
  return [
    row("start of an empty folder, Node's own start included", empty),
    judged(row(`start after a clean close, ${stored}`, results.clean), { atMost: 1_000 }),
    judged(row(`start after kill -9, ${stored}`, results.killed), { atMost: 5_000 }),
  ];
}

/** Milliseconds from the command until the first answer. */
async function restarted(server: BenchServer, signal: "SIGTERM" | "SIGKILL"): Promise<number> {
  await server.end(signal);
  const startedAt = performance.now();
  await server.run();
  await server.call("GET", "/v1/sessions?limit=1");
  return performance.now() - startedAt;
}
