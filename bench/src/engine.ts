import { letHeapGrow } from "@daybook/server";
import { batches, manySessions, oneSession, stalls } from "./engine-append.js";
import { erasure, replay } from "./engine-history.js";
import { scans } from "./engine-scan.js";
import { starts } from "./engine-start.js";
import { forks, stateAt } from "./engine-state.js";
import { type BenchOptions, type Group, isTimeFor, type Report, type Section } from "./options.js";
import { type Row, table } from "./row.js";

/** Everything that is measured on the embedded engine itself, in this process. */
const SCENARIOS: Readonly<Record<string, (options: BenchOptions) => Promise<Row[]>>> = {
  "engine-many-sessions": manySessions,
  "engine-one-session": oneSession,
  "engine-batches": batches,
  "engine-stalls": stalls,
  "engine-replay": replay,
  "engine-erasure": erasure,
  "engine-start": starts,
  "engine-state-at": stateAt,
  "engine-forks": forks,
  "engine-scan": scans,
};

export const engineGroup: Group = {
  title: "engine: the embedded store alone, 400-byte events, fsync on",
  scenarios: Object.keys(SCENARIOS),
  quickScenarios: [],
  fullScenarios: ["engine-state-at", "engine-forks", "engine-scan"],
  run: runEngineBench,
};

async function runEngineBench(
  options: BenchOptions,
  names: readonly string[],
  say: (line: string) => void,
): Promise<Report> {
  // As the process has it that serves.
  letHeapGrow();
  const [sections, data]: [Section[], Record<string, readonly Row[]>] = [[], {}];
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (!names.includes(name) || !isTimeFor(name, options, say)) continue;
    say(`${name} …`);
    const rows = await scenario(options);
    data[name] = rows;
    sections.push({ scenario: name, text: table(rows) });
  }
  return { sections, data };
}
