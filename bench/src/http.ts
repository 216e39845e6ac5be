import { chat } from "./http-chat.js";
import { HttpContext, type Scenario } from "./http-context.js";
import { erasure, startUp } from "./http-history.js";
import { parts } from "./http-parts.js";
import { growth, millionSessions } from "./http-scale.js";
import { slowReaders } from "./http-slow-readers.js";
import { agentState } from "./http-state.js";
import { type BenchOptions, type Group, isTimeFor, type Report, type Section } from "./options.js";
import { type Row, table } from "./row.js";

/** What is measured of Daybook alone, through its server, by the name it is asked for. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "http-parts": parts,
  "http-chat": chat,
  "http-growth": growth,
  "http-million-sessions": millionSessions,
  "http-slow-readers": slowReaders,
  "http-erasure": erasure,
  "http-agent-state": agentState,
  "http-start": startUp,
};

/** Millions of events over HTTP: the other scenarios of the page start full servers as well. */
const LONG = ["http-start"];

export const httpGroup: Group = {
  title: "http: Daybook alone, a server of its own, over loopback",
  scenarios: Object.keys(SCENARIOS),
  quickScenarios: [],
  fullScenarios: Object.keys(SCENARIOS).filter((name) => !LONG.includes(name)),
  run: runHttpBench,
};

async function runHttpBench(
  options: BenchOptions,
  names: readonly string[],
  say: (line: string) => void,
): Promise<Report> {
  const [sections, data]: [Section[], Record<string, readonly Row[]>] = [[], {}];
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (!names.includes(name) || !isTimeFor(name, options, say)) continue;
    say(`${name} …`);
    await using context = new HttpContext(options, (line) => say(`${name}: ${line}`));
    try {
      const rows = await scenario(context);
      data[name] = rows;
      sections.push({ scenario: name, text: table(rows) });
    } catch (error) {
      // The others are still worth their time; the exit code tells that one is missing.
      say(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      process.exitCode = 1;
    }
  }
  return { sections, data };
}
