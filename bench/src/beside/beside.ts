import { fileURLToPath } from "node:url";
import { type BenchOptions, type Group, isTimeFor, type Report, type Section } from "../options.js";
import { BesideContext } from "./beside-context.js";
import { type Comparison, comparisonTable } from "./comparison.js";
import type { ContenderKind } from "./contender.js";
import { daybook } from "./daybook-contender.js";
import { nats } from "./nats-contender.js";
import { plotOf } from "./plots.js";
import { plainPostgres, postgres } from "./postgres-contender.js";
import { findProgram, makeFolder, Program } from "./program.js";
import { redis } from "./redis-contender.js";
import { durableStreams } from "./durable-streams-contender.js";
import { fanOut } from "./fan-out.js";
import { replay, reopen } from "./history.js";
import { readYourWrites } from "./latency.js";
import { idleTails, recovery } from "./scale.js";
import { threadTime } from "./thread-time.js";
import { batches, hotSession, singlePosts, socketAppends } from "./throughput.js";

/** What Daybook is measured next to. The first ones are taken when nobody is named. */
export const CONTENDERS: readonly ContenderKind[] = [redis, postgres, nats, durableStreams, plainPostgres];
export const USUAL_CONTENDERS = CONTENDERS.filter((kind) => kind !== plainPostgres).map(({ name }) => name);

interface Scenario {
  readonly run: (context: BesideContext) => Promise<Comparison>;
  /** Part of `--quick`. */
  readonly quick: boolean;
  /** It reads the CPU profiles of its servers itself. */
  readonly profiled?: boolean;
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "single-posts": { run: singlePosts, quick: true },
  batches: { run: batches, quick: true },
  "socket-appends": { run: socketAppends, quick: false },
  "hot-session": { run: hotSession, quick: false },
  "read-your-writes": { run: readYourWrites, quick: true },
  "fan-out": { run: fanOut, quick: true },
  replay: { run: replay, quick: true },
  reopen: { run: reopen, quick: false },
  "idle-tails": { run: idleTails, quick: false },
  recovery: { run: recovery, quick: false },
  "thread-time": { run: threadTime, quick: false, profiled: true },
};

export const besideGroup: Group = {
  title: "beside: Daybook next to what people would use instead",
  scenarios: Object.keys(SCENARIOS),
  quickScenarios: Object.keys(SCENARIOS).filter((name) => SCENARIOS[name]?.quick),
  fullScenarios: Object.keys(SCENARIOS),
  run: runBeside,
};

async function runBeside(
  options: BenchOptions,
  names: readonly string[],
  say: (line: string) => void,
): Promise<Report> {
  const kinds = [daybook, ...CONTENDERS.filter(({ name }) => options.against.includes(name))];
  if (options.setUp) await installMissing(kinds, say);
  const [present, about] = await takeInstalled(kinds);
  const [sections, comparisons]: [Section[], Record<string, Comparison>] = [[], {}];
  for (const [name, { run, profiled = false }] of Object.entries(SCENARIOS)) {
    if (!names.includes(name) || !isTimeFor(name, options, say)) continue;
    try {
      const profileDir = profiled ? await makeFolder() : options.profileDir;
      const withProfiles = { ...options, profileDir };
      await using context = await BesideContext.open(withProfiles, present, (line) =>
        say(`${name}: ${line}`),
      );
      const comparison = await run(context);
      comparisons[name] = comparison;
      const plot = plotOf(name, comparison);
      sections.push({
        scenario: name,
        text: comparisonTable(comparison),
        ...(plot !== undefined && { plot }),
      });
    } catch (error) {
      // The others are still worth their time; the exit code tells that one is missing.
      say(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      process.exitCode = 1;
    }
  }
  return { about, sections, data: comparisons };
}

const SETUP = fileURLToPath(new URL("../../setup", import.meta.url));

/** Where no password is asked for, as in a container. A bench that cannot install goes on with who is there. */
async function installMissing(kinds: readonly ContenderKind[], say: (line: string) => void): Promise<void> {
  const missing = (await Promise.all(kinds.map((kind) => kind.missing()))).filter((one) => one !== undefined);
  if (missing.length === 0 || process.getuid?.() !== 0) return;
  if ((await findProgram("apt-get")) === undefined) return;
  say(`installing ${missing.join(", ")} by bench/setup; --no-setup leaves them out`);
  await Program.run(SETUP, []).catch((error: unknown) => say(`bench/setup failed: ${String(error)}`));
}

/** Says what each contender is; one that is not installed is left out. */
async function takeInstalled(kinds: readonly ContenderKind[]): Promise<[ContenderKind[], string]> {
  const [present, lines]: [ContenderKind[], string[]] = [[], []];
  for (const kind of kinds) {
    const missing = await kind.missing();
    if (missing === undefined) present.push(kind);
    lines.push(
      missing === undefined
        ? `${kind.name}: ${await kind.about()}`
        : `${kind.name} is left out: it needs ${missing}; bench/setup installs it`,
    );
  }
  return [present, lines.join("\n")];
}
