import { join } from "node:path";
import { openEngine } from "@daybook/engine-embedded";
import { BareLog } from "./bare-log.js";
import { closedLoop } from "./engine-load.js";
import { Folder, FRAME_BYTES, Sessions } from "./engine-store.js";
import { busyNote, type HttpContext, interleave, measureAppends, notes, ratios } from "./http-context.js";
import { latencySeconds } from "./options.js";
import { judged, median, type Row, spread } from "./row.js";

const IN_FLIGHT = 64;
const SESSIONS = 2_000;
/** Later than any measurement ends. */
const NEVER_MS = 3_600_000;
const GIB = 1024 ** 3;

/** What one arrangement of parts does, and what an event costs there. */
interface Part {
  readonly rate: number;
  readonly cpuMicros: number;
  readonly busy?: number;
}

/** Appends of one event, 64 at a time: from a bare file to the whole server, part by part. */
export async function parts(context: HttpContext): Promise<Row[]> {
  const generator = context.generator();
  const sessions = { prefix: "single-", count: SESSIONS };
  const servers = {
    memory: await context.server({ store: "memory" }),
    open: await context.server(),
    whole: await context.server({ auth: "jwt" }),
  };
  for (const { target } of Object.values(servers)) await generator.run({ kind: "create", target, sessions });
  const overHttp = async (server: keyof typeof servers): Promise<Part> => {
    const measured = await measureAppends(context, servers[server], generator, {
      sessions,
      connections: IN_FLIGHT,
    });
    return { rate: measured.eventsPerSecond, cpuMicros: measured.cpuMicrosPerEvent, busy: measured.busy };
  };
  const { seconds } = context.options;
  // Long enough that the views' share is in it.
  const storeSeconds = latencySeconds(context.options);
  const results = await interleave(context, {
    file: () => bareFile(seconds),
    "no views": () => engineAlone(storeSeconds, { flushDelayMs: NEVER_MS, viewLagBytesMax: 64 * GIB }),
    engine: () => engineAlone(storeSeconds),
    memory: () => overHttp("memory"),
    open: () => overHttp("open"),
    whole: () => overHttp("whole"),
  });
  return rowsOf(results);
}

type Results = Readonly<
  Record<"file" | "no views" | "engine" | "memory" | "open" | "whole", readonly Part[]>
>;

function rowsOf(results: Results): Row[] {
  const names = {
    file: "write and fdatasync of a file, no server",
    "no views": "the store without views, no server",
    engine: "the whole store, no server",
    memory: "HTTP, nothing on disk, no auth",
    open: "HTTP, the whole store, no auth",
    whole: "HTTP, the whole store, tokens checked",
  } as const satisfies Record<keyof Results, string>;
  const of = (part: keyof Results, what: "rate" | "cpuMicros"): number[] =>
    results[part].map((one) => one[what]);
  const more = (name: string, above: keyof Results, below: keyof Results): Row => {
    const differences = of(above, "cpuMicros").map(
      (micros, round) => micros - (of(below, "cpuMicros")[round] ?? Number.NaN),
    );
    return { name, value: median(differences), unit: "CPU µs/event", note: spread(differences) };
  };
  const ratio = (name: string, above: keyof Results, below: keyof Results, atLeast: number): Row => {
    const values = ratios(of(above, "rate"), of(below, "rate"));
    return judged({ name, value: median(values), unit: "ratio", note: spread(values) }, { atLeast });
  };
  return [
    ...(Object.keys(names) as (keyof Results)[]).flatMap((part) => partRows(names[part], results[part])),
    more("views cost", "engine", "no views"),
    more("HTTP costs (TLS-less)", "open", "engine"),
    more("the disk costs", "open", "memory"),
    more("auth costs", "whole", "open"),
    ratio("on disk : in memory", "open", "memory", 0.7),
    ratio("tokens checked : no auth", "whole", "open", 0.85),
  ];
}

function partRows(name: string, rounds: readonly Part[]): Row[] {
  const rates = rounds.map(({ rate }) => rate);
  const cpu = rounds.map(({ cpuMicros }) => cpuMicros);
  const busy = rounds.flatMap((round) => (round.busy === undefined ? [] : [{ busy: round.busy }]));
  const limits = busy.length === 0 ? "" : busyNote(busy);
  return [
    { name, value: median(rates), unit: "events/s", note: notes(spread(rates), limits) },
    { name: "  CPU", value: median(cpu), unit: "µs/event", note: spread(cpu) },
  ];
}

async function bareFile(seconds: number): Promise<Part> {
  await using folder = await Folder.make();
  const bare = await BareLog.open(join(folder.path, "bare"), FRAME_BYTES);
  const part = await inThisProcess(seconds, () => bare.append());
  await bare.close();
  return part;
}

async function engineAlone(seconds: number, settings: object = {}): Promise<Part> {
  await using folder = await Folder.make();
  const fatal = (error: Error): never => {
    throw error;
  };
  const engine = await openEngine(folder.data, { events: { fatal }, settings });
  const sessions = new Sessions("single-", SESSIONS);
  await sessions.create(engine);
  const part = await inThisProcess(seconds, () => sessions.appendNext(engine));
  await engine.close();
  return part;
}

/** The maker of the load is in here as well: it does little. */
async function inThisProcess(seconds: number, work: () => Promise<unknown>): Promise<Part> {
  await closedLoop(IN_FLIGHT, 1, work);
  const before = process.cpuUsage();
  const { done, seconds: elapsed } = await closedLoop(IN_FLIGHT, seconds, work);
  const { user, system } = process.cpuUsage(before);
  return { rate: done / elapsed, cpuMicros: (user + system) / done };
}
