import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { besideGroup, CONTENDERS, USUAL_CONTENDERS } from "./beside/beside.js";
import { engineGroup } from "./engine.js";
import { httpGroup } from "./http.js";
import { MachineClock } from "./machine.js";
import type { BenchOptions, Group, Report, Section } from "./options.js";
import { writeIntoPage } from "./page.js";

/** What `npm run bench` can run: one line a group. */
const GROUPS: Readonly<Record<string, Group>> = {
  beside: besideGroup,
  http: httpGroup,
  engine: engineGroup,
};

interface GroupResult {
  readonly data: unknown;
  /** How much of the machine was not ours. */
  readonly othersShare: number;
}

const RESULTS = fileURLToPath(new URL("../results/", import.meta.url));

const MINUTES_MAX = 40;

const HELP = `npm run bench -- [group or scenario …] [flags]

  --against NAMES  next to what: ${CONTENDERS.map(({ name }) => name).join(",")}
                   (default ${USUAL_CONTENDERS.join(",")}; none: Daybook alone)
  --seconds N      measured time of a round (default 5)
  --minutes N      begins nothing after that time (default 40)
  --rounds N       rounds, interleaved; figures are their medians (default 3)
  --quick          2 seconds, 1 round, smaller sizes; a subset if nothing is named: two minutes
  --full           sizes as the goals name them, 3 seconds; what docs/PERFORMANCE.md shows if nothing is named
  --page FILE      puts the tables into their places in a Markdown page, and pictures beside it
  --no-setup       leave out who is not installed, even where bench/setup could install it
  --profile DIR    servers write CPU profiles there

${Object.entries(GROUPS)
  .map(([name, { scenarios }]) => `  ${name}: ${scenarios.join(" ")}`)
  .join("\n")}`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      against: { type: "string" },
      seconds: { type: "string" },
      minutes: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      full: { type: "boolean", default: false },
      page: { type: "string" },
      "no-setup": { type: "boolean", default: false },
      profile: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { quick, full } = values;
  const options: BenchOptions = {
    seconds: positive(values.seconds, "--seconds") ?? (quick ? 2 : full ? 3 : 5),
    rounds: positive(values.rounds, "--rounds") ?? (quick ? 1 : 3),
    quick,
    full,
    profileDir: values.profile,
    endsAt: performance.now() + (positive(values.minutes, "--minutes") ?? MINUTES_MAX) * 60_000,
    setUp: !values["no-setup"],
    against: contenders(values.against),
  };
  const results: Record<string, GroupResult> = {};
  const sections: Section[] = [];
  for (const [name, names] of wanted(positionals, options)) {
    const group = GROUPS[name];
    if (group === undefined) continue;
    const machine = await MachineClock.start();
    const report = await group.run(options, names, say);
    const othersShare = await machine.othersShare();
    results[name] = { data: report.data, othersShare };
    sections.push(...report.sections);
    print(`${group.title}${quick ? " (quick: short rounds, smaller sizes)" : ""}`, report);
    console.log(`Other processes used ${percent(othersShare)} of this machine's CPUs meanwhile.`);
  }
  await keep(options, results);
  for (const { scenario, plot } of sections) if (plot !== undefined) await write(`${scenario}.svg`, plot);
  if (values.page === undefined) return;
  const homeless = await writeIntoPage(values.page, sections, provenance(results));
  say(`wrote ${values.page}`);
  if (homeless.length > 0) say(`no place there for ${homeless.join(", ")}`);
}

function print(title: string, { about, sections }: Report): void {
  console.log(`\n${[title, ...(about === undefined ? [] : [about])].join("\n\n")}\n`);
  for (const { scenario, text } of sections) console.log(`${scenario}:\n${text}`);
}

/** What stands below every table: how it came about. */
function provenance(results: Readonly<Record<string, GroupResult>>): string {
  const others = Math.max(...Object.values(results).map(({ othersShare }) => othersShare));
  const { cpus: count, model, node } = machineFacts();
  const at = new Date().toISOString().slice(0, 16).replace("T", " ");
  const command = ["npm run bench --", ...process.argv.slice(2)].join(" ");
  return `${command}\n${at} UTC; ${count} CPUs (${model}), Node ${node}; other processes used ${percent(others)} of them`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Scenarios by group, in the order of the groups. Nothing named: everything, or what is quick, or what is full. */
function wanted(
  named: readonly string[],
  { quick, full }: BenchOptions,
): [group: string, scenarios: readonly string[]][] {
  const known = Object.entries(GROUPS).flatMap(([name, { scenarios }]) => [name, ...scenarios]);
  for (const name of named) {
    if (!known.includes(name)) throw new Error(`there is no ${name}; there are ${known.join(", ")}`);
  }
  return Object.entries(GROUPS)
    .map(([name, { scenarios, quickScenarios, fullScenarios }]) => {
      if (named.length === 0)
        return [name, quick ? quickScenarios : full ? fullScenarios : scenarios] as const;
      const all = named.includes(name);
      return [name, all ? scenarios : scenarios.filter((scenario) => named.includes(scenario))] as const;
    })
    .filter(([, scenarios]) => scenarios.length > 0) as [string, readonly string[]][];
}

function contenders(text: string | undefined): readonly string[] {
  if (text === undefined) return USUAL_CONTENDERS;
  const named = text.split(",").filter((name) => name !== "" && name !== "none");
  const known = CONTENDERS.map(({ name }) => name);
  for (const name of named)
    if (!known.includes(name)) throw new Error(`--against knows ${known.join(", ")}, not ${name}`);
  return named;
}

function positive(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${flag} must be a number above 0, not ${text}`);
  return value;
}

async function keep(options: BenchOptions, results: Readonly<Record<string, GroupResult>>): Promise<void> {
  const machine = machineFacts();
  const kept = { at: new Date().toISOString(), command: process.argv.slice(2), machine, options, results };
  await write("latest.json", `${JSON.stringify(kept, null, 2)}\n`);
}

function machineFacts(): { readonly cpus: number; readonly model: string; readonly node: string } {
  return { cpus: cpus().length, model: cpus()[0]?.model ?? "unknown", node: process.version };
}

async function write(name: string, text: string): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await writeFile(RESULTS + name, text);
  say(`wrote bench/results/${name}`);
}

/** Progress goes to stderr: stdout holds the tables. */
function say(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

// Ends by "exit", where servers and folders are cleared away.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
await main();
