import { batches, oneSession, singlePosts } from "./http-append.js";
import { chat } from "./http-chat.js";
import { HttpContext, type Scenario } from "./http-context.js";
import { erasure, replayLong, startUp } from "./http-history.js";
import { parts } from "./http-parts.js";
import { growth, millionSessions } from "./http-scale.js";
import { agentState } from "./http-state.js";
import { fanOut, idleTails, slowReaders, tailLatency } from "./http-tails.js";
import type { BenchOptions, Group, Report, Section } from "./options.js";
import { type Row, table } from "./row.js";

/** Everything that is measured through the server, by the name it is asked for. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "http-single-posts": singlePosts,
  "http-batches": batches,
  "http-one-session": oneSession,
  "http-tail-latency": tailLatency,
  "http-replay": replayLong,
  "http-fan-out": fanOut,
  "http-idle-tails": idleTails,
  "http-slow-readers": slowReaders,
  "http-erasure": erasure,
  "http-start": startUp,
  "http-agent-state": agentState,
  "http-parts": parts,
  "http-chat": chat,
  "http-million-sessions": millionSessions,
  "http-growth": growth,
};

export const httpGroup: Group = {
  title: "http: a server of its own, over loopback",
  scenarios: Object.keys(SCENARIOS),
  quickScenarios: [],
  fullScenarios: [],
  run: runHttpBench,
};

async function runHttpBench(
  options: BenchOptions,
  names: readonly string[],
  say: (line: string) => void,
): Promise<Report> {
  const [sections, data]: [Section[], Record<string, readonly Row[]>] = [[], {}];
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (!names.includes(name)) continue;
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
