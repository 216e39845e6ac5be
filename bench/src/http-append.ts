import {
  busyNote,
  type HttpContext,
  interleave,
  measureAppends,
  type Measured,
  notes,
  ratios,
} from "./http-context.js";
import { judged, median, type Row, spread } from "./row.js";

const SESSIONS = 2_000;
const BATCH = 100;

/** Single POSTs over many sessions: what the disk costs, and what auth costs. */
export async function singlePosts(context: HttpContext): Promise<Row[]> {
  const generator = context.generator();
  const sessions = { prefix: "single-", count: SESSIONS };
  const servers = {
    embedded: await context.server(),
    memory: await context.server({ store: "memory" }),
    "embedded with jwt": await context.server({ auth: "jwt" }),
  };
  for (const { target } of Object.values(servers)) await generator.run({ kind: "create", target, sessions });
  const results = await interleave(context, {
    embedded: () => measureAppends(context, servers.embedded, generator, { sessions }),
    memory: () => measureAppends(context, servers.memory, generator, { sessions }),
    "embedded with jwt": () => measureAppends(context, servers["embedded with jwt"], generator, { sessions }),
  });
  const rates = (name: keyof typeof servers): number[] => results[name].map((one) => one.eventsPerSecond);
  const [toMemory, toOpen] = [
    ratios(rates("embedded"), rates("memory")),
    ratios(rates("embedded with jwt"), rates("embedded")),
  ];
  return [
    ...Object.entries(results).flatMap(([name, rounds]) =>
      throughputRows(`POST one event, 64 connections, ${name}`, rounds),
    ),
    judged(
      { name: "embedded : memory", value: median(toMemory), unit: "ratio", note: spread(toMemory) },
      { atLeast: 0.7 },
    ),
    judged(
      { name: "jwt : no auth", value: median(toOpen), unit: "ratio", note: spread(toOpen) },
      { atLeast: 0.85 },
    ),
  ];
}

function throughputRows(name: string, rounds: readonly Measured[]): Row[] {
  const rates = rounds.map((one) => one.eventsPerSecond);
  return [
    { name, value: median(rates), unit: "events/s", note: notes(spread(rates), busyNote(rounds)) },
    {
      name: "  server CPU",
      value: median(rounds.map((one) => one.cpuMicrosPerEvent)),
      unit: "µs/event",
    },
    {
      name: "  closed-loop p99",
      value: median(rounds.map(({ latency }) => latency.p99)),
      unit: "ms",
    },
  ];
}

/** Lists of 100 events. The goal is the engine's; over HTTP each event is also parsed. */
export async function batches(context: HttpContext): Promise<Row[]> {
  const generator = context.generator();
  const sessions = { prefix: "batch-", count: SESSIONS };
  const [embedded, memory] = [await context.server(), await context.server({ store: "memory" })];
  for (const { target } of [embedded, memory]) await generator.run({ kind: "create", target, sessions });
  const load = { sessions, connections: 16, eventsPerRequest: BATCH };
  const results = await interleave(context, {
    embedded: () => measureAppends(context, embedded, generator, load),
    memory: () => measureAppends(context, memory, generator, load),
  });
  return Object.entries(results).flatMap(([store, rounds]) => {
    const [figure, ...more] = throughputRows(`POST ${BATCH} events, 16 connections, ${store}`, rounds);
    if (figure === undefined) return more;
    const note = notes(figure.note ?? "", "through HTTP; the engine's own figure is in its group");
    return [store === "embedded" ? judged({ ...figure, note }, { atLeast: 150_000 }) : figure, ...more];
  });
}

/** One session, where no two appends can be decided apart. */
export async function oneSession(context: HttpContext): Promise<Row[]> {
  const generator = context.generator();
  const server = await context.server();
  const run = async (prefix: string, connections: number, round: number): Promise<Measured> => {
    const sessions = { prefix: `${prefix}${round}-`, count: 1 };
    await generator.run({ kind: "create", target: server.target, sessions });
    return measureAppends(context, server, generator, { sessions, connections });
  };
  const results = await interleave(context, {
    one: (round) => run("alone", 1, round),
    many: (round) => run("crowd", 64, round),
  });
  const figures = (name: string, rounds: readonly Measured[], atLeast: number): Row[] => {
    const [figure, ...more] = throughputRows(name, rounds);
    return figure === undefined ? more : [judged(figure, { atLeast }), ...more];
  };
  return [
    ...figures("one session, 1 in flight", results.one, 2_000),
    ...figures("one session, 64 in flight", results.many, 20_000),
  ];
}
