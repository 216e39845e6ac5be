import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  busyNote,
  EVENT_BYTES,
  halfOfPeak,
  type HttpContext,
  interleave,
  measureAppends,
  type Measured,
  notes,
  ratios,
} from "./http-context.js";
import type { BenchServer } from "./http-server.js";
import type { SessionSet } from "./load-task.js";
import { judged, median, type Row, showNumber, spread } from "./row.js";

const CONNECTIONS = 64;
const KIB = 1024;

/** Append → seen on another connection's tail, at half of what the server can take. */
export async function tailLatency(context: HttpContext): Promise<Row[]> {
  const [server, generator] = [await context.server(), context.generator()];
  const fresh = async (prefix: string): Promise<SessionSet> => {
    const sessions = { prefix, count: CONNECTIONS };
    await generator.run({ kind: "create", target: server.target, sessions });
    return sessions;
  };
  const rate = await halfOfPeak(context, server, generator, { sessions: await fresh("peak-") });
  const { followed } = await interleave(context, {
    followed: async (round) =>
      measureAppends(context, server, generator, {
        sessions: await fresh(`seen${round}-`),
        requestsPerSecond: rate,
        follow: true,
      }),
  });
  const percentiles = (of: "seen" | "latency", which: "p50" | "p99" | "p999"): number[] =>
    followed.map((one) => one[of][which]);
  const at = `open loop at ${showNumber(rate)} events/s, half of peak`;
  const seen99 = percentiles("seen", "p99");
  return [
    { name: "append → seen on a tail, p50", value: median(percentiles("seen", "p50")), unit: "ms", note: at },
    judged(
      {
        name: "append → seen on a tail, p99",
        value: median(seen99),
        unit: "ms",
        note: notes(spread(seen99), busyNote(followed)),
      },
      { atMost: 10 },
    ),
    { name: "append → seen on a tail, p99.9", value: median(percentiles("seen", "p999")), unit: "ms" },
    { name: "append → answered, p99", value: median(percentiles("latency", "p99")), unit: "ms" },
    { name: "append → answered, p99.9", value: median(percentiles("latency", "p999")), unit: "ms" },
  ];
}

const FOLLOWERS = 1_000;
const PUBLISHED_AT_ONCE = 16;

/** One session, a thousand followers. */
export async function fanOut(context: HttpContext): Promise<Row[]> {
  const [server, generator] = [await context.server(), context.generator()];
  const { target } = server;
  const sessions = { prefix: "crowd-", count: 1 };
  await generator.run({ kind: "create", target, sessions });
  await generator.run({ kind: "open_tails", target, sessions, tails: FOLLOWERS, reading: true });
  const { crowd } = await interleave(context, {
    crowd: () =>
      generator.run({
        kind: "fan_out",
        target,
        sessions,
        eventsPerRequest: PUBLISHED_AT_ONCE,
        eventBytes: EVENT_BYTES,
        warmUpSeconds: 1,
        seconds: context.options.seconds,
        publishers: 1,
        eventsAheadMax: 4 * PUBLISHED_AT_ONCE,
      }),
  });
  const rates = crowd.map(({ deliveries, seconds }) => deliveries / seconds);
  return [
    judged(
      {
        name: `${FOLLOWERS} followers of one session, batches of ${PUBLISHED_AT_ONCE}`,
        value: median(rates),
        unit: "deliveries/s",
        note: notes(spread(rates), busyNote(crowd)),
      },
      { atLeast: 500_000 },
    ),
  ];
}

const IDLE_TAILS = 10_000;
/** Files a process needs beside its connections. */
const OTHER_FILES = 500;

/** What a tail costs that nothing happens on: each on a session of its own. */
export async function idleTails(context: HttpContext): Promise<Row[]> {
  const [server, generator] = [await context.server(), context.generator()];
  const { target } = server;
  const wanted = context.options.quick ? IDLE_TAILS / 10 : IDLE_TAILS;
  const tails = Math.min(wanted, (await openFilesMax()) - OTHER_FILES);
  const sessions = { prefix: "idle-", count: tails };
  await generator.run({ kind: "create", target, sessions });
  // Code, caches and heap that the first tails bring are not what each one costs.
  await generator.run({ kind: "open_tails", target, sessions, tails: 500, reading: true });
  await generator.run({ kind: "close_tails" });
  const before = await settledBytes(server, context);
  await generator.run({ kind: "open_tails", target, sessions, tails, reading: true });
  const after = await settledBytes(server, context);
  const each = (after - before) / tails / KIB;
  const note = `${showNumber(tails)} tails; RSS ${showNumber(before / KIB ** 2)} → ${showNumber(after / KIB ** 2)} MiB`;
  return [judged({ name: "RSS of an idle tail", value: each, unit: "KiB", note }, { atMost: 16 })];
}

async function openFilesMax(): Promise<number> {
  const limits = await readFile("/proc/self/limits", "utf8");
  return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? "1024");
}

const SETTLE_MS_MAX = 20_000;

/** The server's RSS once it has stopped moving: garbage goes when the collector has nothing better to do. */
async function settledBytes(server: BenchServer, { options }: HttpContext): Promise<number> {
  const deadline = performance.now() + (options.quick ? SETTLE_MS_MAX / 4 : SETTLE_MS_MAX);
  let [lowest, calm] = [Infinity, 0];
  while (calm < 5 && performance.now() < deadline) {
    await sleep(1_000);
    const bytes = await server.metric("process_resident_memory_bytes");
    calm = bytes < lowest * 0.995 ? 0 : calm + 1;
    lowest = Math.min(lowest, bytes);
  }
  return lowest;
}

const SLOW_READERS = 20;
/** More than all buffers between a server and a reader who does not read. */
const FILLED_EVENTS = 40_000;
/** How long their buffers take to fill. */
const FILLING_MS = 1_000;

/** Readers that stopped reading, on the session that is appended to. */
export async function slowReaders(context: HttpContext): Promise<Row[]> {
  const [server, generator, readers] = [await context.server(), context.generator(), context.generator()];
  const { target } = server;
  const sessions = { prefix: "slow-", count: 1 };
  await generator.run({ kind: "create", target, sessions });
  await generator.run({
    kind: "fill",
    target,
    sessions,
    eventsPerSession: FILLED_EVENTS,
    eventsPerRequest: 100,
    eventBytes: EVENT_BYTES,
  });
  const rate = await halfOfPeak(context, server, generator, { sessions });
  const append = (): Promise<Measured> =>
    measureAppends(context, server, generator, { sessions, requestsPerSecond: rate });
  let sentMeanwhile = 0;
  const results = await interleave(context, {
    without: append,
    "with 20 slow readers": async () => {
      await readers.run({ kind: "open_tails", target, sessions, tails: SLOW_READERS, reading: false });
      await sleep(FILLING_MS);
      const sentBefore = await server.metric("daybook_tail_events_total");
      const measured = await append();
      sentMeanwhile += (await server.metric("daybook_tail_events_total")) - sentBefore;
      await readers.run({ kind: "close_tails" });
      return measured;
    },
  });
  const p99 = (rounds: readonly Measured[]): number[] => rounds.map(({ latency }) => latency.p99);
  const [without, with20] = [p99(results.without), p99(results["with 20 slow readers"])];
  const moved = ratios(with20, without);
  const cpuOf = (rounds: readonly Measured[]): number[] => rounds.map((one) => one.cpuMicrosPerEvent);
  const cpu = ratios(cpuOf(results["with 20 slow readers"]), cpuOf(results.without));
  const at = `open loop at ${showNumber(rate)} events/s, half of peak`;
  return [
    {
      name: "append p99, nobody reads",
      value: median(without),
      unit: "ms",
      note: notes(spread(without), at),
    },
    {
      name: `append p99, ${SLOW_READERS} readers that stopped reading`,
      value: median(with20),
      unit: "ms",
      note: notes(spread(with20), `the server sent them ${showNumber(sentMeanwhile)} events meanwhile`),
    },
    judged(
      { name: "  with : without", value: median(moved), unit: "ratio", note: spread(moved) },
      { atMost: 1.25 },
    ),
    { name: "  server CPU, with : without", value: median(cpu), unit: "ratio", note: spread(cpu) },
  ];
}
