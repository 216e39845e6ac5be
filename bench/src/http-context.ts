import { LoadGenerator } from "./http-generator.js";
import { BenchServer, type ServerOptions } from "./http-server.js";
import type { AppendReport, AppendTask, SessionSet } from "./load-task.js";
import type { BenchOptions } from "./options.js";
import type { Row } from "./row.js";

/** The size every goal speaks of. */
export const EVENT_BYTES = 400;
/** Above this a generator may have been the limit. */
export const BUSY_MAX = 0.9;
const WARM_UP_SECONDS = 1;

/** What a scenario gets: how thorough to be, and parts that are ended with it. */
export class HttpContext implements AsyncDisposable {
  private readonly parts: AsyncDisposable[] = [];

  constructor(
    readonly options: BenchOptions,
    readonly say: (line: string) => void,
  ) {}

  async server(options: ServerOptions = {}): Promise<BenchServer> {
    const server = await BenchServer.start({ ...options, profileDir: this.options.profileDir });
    this.parts.push(server);
    return server;
  }

  /** Not yet running: its folder can be filled. */
  async stoppedServer(options: ServerOptions = {}): Promise<BenchServer> {
    const server = await BenchServer.make({ ...options, profileDir: this.options.profileDir });
    this.parts.push(server);
    return server;
  }

  generator(): LoadGenerator {
    const generator = new LoadGenerator();
    this.parts.push(generator);
    return generator;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.parts.splice(0).reverse()) await part[Symbol.asyncDispose]();
  }
}

/** One kind of load that is measured beside others. */
export interface Scenario {
  (context: HttpContext): Promise<readonly Row[]>;
}

export interface Measured extends AppendReport {
  readonly eventsPerSecond: number;
  readonly cpuMicrosPerEvent: number;
}

/** The longest lists that sessions are filled with. */
const FILL_EVENTS_MAX = 100;

/** Makes sessions with so many events each. */
export async function fillSessions(
  { target }: BenchServer,
  generator: LoadGenerator,
  { sessions, eventsPerSession }: { readonly sessions: SessionSet; readonly eventsPerSession: number },
): Promise<void> {
  await generator.run({ kind: "create", target, sessions });
  await generator.run({
    kind: "fill",
    target,
    sessions,
    eventsPerSession,
    eventsPerRequest: Math.min(FILL_EVENTS_MAX, eventsPerSession),
    eventBytes: EVENT_BYTES,
  });
}

type Load = Pick<AppendTask, "sessions"> & Partial<AppendTask>;

/** Appends to a server, and what that cost it. Refusals spoil a figure, so there must be none. */
export async function measureAppends(
  { options }: HttpContext,
  server: BenchServer,
  generator: LoadGenerator,
  load: Load,
): Promise<Measured> {
  const cpuBefore = await server.cpuSeconds();
  const report = await generator.run({
    kind: "append",
    connections: 64,
    eventsPerRequest: 1,
    eventBytes: EVENT_BYTES,
    warmUpSeconds: WARM_UP_SECONDS,
    seconds: options.seconds,
    ...load,
    target: server.target,
  });
  const cpu = (await server.cpuSeconds()) - cpuBefore;
  if (report.refused > 0) throw new Error(`${report.refused} appends were refused`);
  return {
    ...report,
    eventsPerSecond: report.events / report.seconds,
    cpuMicrosPerEvent: (cpu / report.eventsInAll) * 1e6,
  };
}

/** What it takes of this very load with 64 connections that never pause, halved: where latency is asked for. */
export async function halfOfPeak(
  context: HttpContext,
  server: BenchServer,
  generator: LoadGenerator,
  load: Load,
): Promise<number> {
  context.say("looking for the peak");
  return (await measureAppends(context, server, generator, load)).eventsPerSecond / 2;
}

/** Rounds of all variants in turn, there and back: what else the machine does hits all of them alike. */
export async function interleave<Name extends string, Result>(
  { options, say }: HttpContext,
  variants: Readonly<Record<Name, (round: number) => Promise<Result>>>,
): Promise<Record<Name, Result[]>> {
  const names = Object.keys(variants) as Name[];
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Name, Result[]>;
  for (let round = 0; round < options.rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      say(`round ${round + 1} of ${options.rounds}: ${name}`);
      results[name].push(await variants[name](round));
    }
  }
  return results;
}

/** Says so when the generator, and not the server, may have been the limit. */
export function busyNote(reports: readonly { readonly busy: number }[]): string {
  const busy = Math.max(...reports.map((report) => report.busy));
  return busy > BUSY_MAX
    ? `the load generator was ${Math.round(busy * 100)} % busy: it may be the limit`
    : "";
}

export function notes(...texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join("; ");
}

/** The rounds of one variant over those of another, pair by pair. */
export function ratios(above: readonly number[], below: readonly number[]): number[] {
  return above.map((value, round) => value / (below[round] ?? Number.NaN));
}
