import { batches, oneSession, singlePosts } from "./http-append.js";
import { HttpContext, type Scenario } from "./http-context.js";
import { erasure, replayLong, startUp } from "./http-history.js";
import { agentState } from "./http-state.js";
import { fanOut, idleTails, slowReaders, tailLatency } from "./http-tails.js";
import type { BenchOptions, Group } from "./options.js";
import type { Row } from "./row.js";

/** Everything that is measured through the server, by the name it is asked for. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "single-posts": singlePosts,
  batches,
  "one-session": oneSession,
  "tail-latency": tailLatency,
  replay: replayLong,
  "fan-out": fanOut,
  "idle-tails": idleTails,
  "slow-readers": slowReaders,
  erasure,
  start: startUp,
  "agent-state": agentState,
};

export const httpGroup: Group = {
  title: "http: a server of its own, over loopback",
  scenarios: Object.keys(SCENARIOS),
  run: runHttpBench,
};

async function runHttpBench(
  options: BenchOptions,
  names: readonly string[],
  say: (line: string) => void,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, scenario] of Object.entries(SCENARIOS)) {
    if (!names.includes(name)) continue;
    say(`${name} …`);
    await using context = new HttpContext(options, (line) => say(`${name}: ${line}`));
    try {
      rows.push(...(await scenario(context)));
    } catch (error) {
      // The others are still worth their time; the exit code tells that one is missing.
      say(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      process.exitCode = 1;
    }
  }
  return rows;
}
