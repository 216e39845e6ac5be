import { fillStore } from "./engine-fill-store.js";
import {
  busyNote,
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
import { latencySeconds } from "./options.js";
import { judged, median, type Row, showNumber, spread } from "./row.js";

const MIB = 1024 * 1024;
const PAGE = 100;
const TIMES = 200;

/** A store with very many sessions, each with an event: to start on it, to list it, to append all over it. */
export async function millionSessions(context: HttpContext): Promise<Row[]> {
  const count = context.options.full ? 1_000_000 : context.options.quick ? 20_000 : 200_000;
  const sessions: SessionSet = { prefix: "many-", count };
  const server = await filledServer(context, sessions, { eventCount: count, eventsPerAppend: 1 });
  const generator = context.generator();
  const list = async (query: string): Promise<number> => {
    const path = `/v1/sessions?limit=${PAGE}${query}`;
    const { latency } = await generator.run({ kind: "get", target: server.target, path, times: TIMES });
    return latency.p99;
  };
  const { rounds } = await interleave(context, {
    rounds: async () => {
      await server.end("SIGTERM");
      const startMs = await server.run();
      const [started, newest, byId] = [
        await rssMib(server),
        await list(""),
        await list("&sort=id&order=asc"),
      ];
      const { latency, eventsPerSecond } = await measureAppends(context, server, generator, { sessions });
      return {
        startMs,
        started,
        newest,
        byId,
        rate: eventsPerSecond,
        p99: latency.p99,
        used: await rssMib(server),
      };
    },
  });
  const values = (of: keyof (typeof rounds)[number]): number[] => rounds.map((round) => round[of]);
  const row = (of: keyof (typeof rounds)[number], name: string, unit: string): Row => ({
    name,
    value: median(values(of)),
    unit,
    note: spread(values(of)),
  });
  return [
    row("startMs", `start with ${showNumber(count)} sessions, clean`, "ms"),
    row("started", "  RSS then", "MiB"),
    row("newest", `list page of ${PAGE}, the usual order, p99`, "ms"),
    row("byId", `list page of ${PAGE}, by id, p99`, "ms"),
    row("rate", "POST of one event over all of them, 64 connections", "events/s"),
    row("p99", "  p99", "ms"),
    judged(row("used", "  RSS then", "MiB"), { atMost: 500 }),
  ];
}

async function filledServer(
  context: HttpContext,
  { prefix, count }: SessionSet,
  fill: { readonly eventCount: number; readonly eventsPerAppend: number },
): Promise<BenchServer> {
  const server = await context.stoppedServer({ auth: "jwt" });
  context.say(`filling ${showNumber(fill.eventCount)} events`);
  await fillStore({ folder: server.folder, prefix, sessionCount: count, ...fill, then: "close" });
  await server.run();
  return server;
}

async function rssMib(server: BenchServer): Promise<number> {
  return (await server.metric("process_resident_memory_bytes")) / MIB;
}

/** The same sessions with ever longer logs behind them. */
const GROWN_SESSIONS = { prefix: "grown-", count: 1_000 };

/** Append latency as the log grows, at one load for all: half of what the smallest takes. */
export async function growth(context: HttpContext): Promise<Row[]> {
  const { full, quick } = context.options;
  const sizes = full ? [10_000, 1_000_000, 10_000_000] : quick ? [10_000, 100_000] : [10_000, 1_000_000];
  const generator = context.generator();
  const servers = new Map<number, BenchServer>();
  for (const size of sizes)
    servers.set(size, await filledServer(context, GROWN_SESSIONS, { eventCount: size, eventsPerAppend: 10 }));
  const [smallest = 0] = sizes;
  const load = { sessions: GROWN_SESSIONS, seconds: latencySeconds(context.options) };
  const rates: number[] = [];
  // All of them, although the smallest one's is taken: none may be measured before it is warm.
  for (const server of servers.values()) rates.push(await halfOfPeak(context, server, generator, load));
  const [rate = 0] = rates;
  const measure = (size: number): Promise<Measured> =>
    measureAppends(context, serverOf(servers, size), generator, { ...load, requestsPerSecond: rate });
  const results = await interleave<string, Measured>(
    context,
    Object.fromEntries(sizes.map((size) => [String(size), () => measure(size)])),
  );
  const of = (size: number, which: "p50" | "p99"): number[] =>
    (results[String(size)] ?? []).map(({ latency }) => latency[which]);
  const largest = sizes.at(-1) ?? smallest;
  const grown = (which: "p50" | "p99"): number[] => ratios(of(largest, which), of(smallest, which));
  const at = `open loop at ${showNumber(rate)} events/s`;
  return [
    ...sizes.flatMap((size) => [
      {
        name: `append behind ${showNumber(size)} events, p50`,
        value: median(of(size, "p50")),
        unit: "ms",
        note: notes(spread(of(size, "p50")), busyNote(results[String(size)] ?? []), at),
      },
      { name: "  p99", value: median(of(size, "p99")), unit: "ms", note: spread(of(size, "p99")) },
    ]),
    ...(["p50", "p99"] as const).map((which) =>
      judged(
        {
          name: `${showNumber(largest)} : ${showNumber(smallest)} events, ${which}`,
          value: median(grown(which)),
          unit: "ratio",
          note: spread(grown(which)),
        },
        { atMost: 1.2 },
      ),
    ),
  ];
}

function serverOf(servers: ReadonlyMap<number, BenchServer>, size: number): BenchServer {
  const server = servers.get(size);
  if (server === undefined) throw new Error(`broken invariant: a server for ${size} events`);
  return server;
}
