import {
  agentPrefix,
  agentStateLog,
  type Commit,
  decideCommit,
  encodeAgentKey,
  needsOfCommit,
} from "@daybook/core";
import type { EmbeddedEngine } from "@daybook/engine-embedded";
import { Folder } from "./engine-store.js";
import type { BenchOptions } from "./options.js";
import { judged, median, type Row, spread } from "./row.js";

/** As many of these as an answer of ScanPrefix holds. */
const RECORDS = 10_000;
const COMMITS_AT_ONCE = 500;
/** How much is asked for at once, as ScanPrefix does. */
const PAGE = 5_000;
const SCANS = 20;
/** About as much as an event holds. */
const VALUE = JSON.stringify({ text: "x".repeat(300) });
const LOG = agentStateLog("bench");
const PREFIX = "memory/";

/** How an agent's records came to be: how many in a transaction, and how far apart keys are that come one after the other. */
const WRITTEN = {
  "one by one, in order": { perCommit: 1, stride: 1 },
  "one by one, in no order": { perCommit: 1, stride: 7_919 },
  "by 100, in order": { perCommit: 100, stride: 1 },
  "by 100, in no order": { perCommit: 100, stride: 7_919 },
} as const;

type Written = keyof typeof WRITTEN;

const keyOf = (agent: string, record: number): string =>
  encodeAgentKey({ namespace: "bench", agent, key: `${PREFIX}${String(record).padStart(6, "0")}` });

async function fill(engine: EmbeddedEngine, agent: Written): Promise<void> {
  const { perCommit, stride } = WRITTEN[agent];
  const commit = (first: number): Promise<unknown> => {
    const operations = Array.from({ length: perCommit }, (_, index) => ({
      // No stride divides their number: each has its turn.
      ...{ key: keyOf(agent, ((first + index) * stride) % RECORDS), value: VALUE },
    }));
    const command: Commit = {
      ...{ log: LOG, id: `txn_${first}`, actor: "agent:bench", operations },
      ...{ conditions: new Map<string, number>(), producer: null },
    };
    return engine.transact(LOG, needsOfCommit(command), (head, facts, now) =>
      decideCommit(head, facts, command, now),
    );
  };
  const step = perCommit * COMMITS_AT_ONCE;
  for (let first = 0; first < RECORDS; first += step) {
    const commits = Math.min(step, RECORDS - first) / perCommit;
    await Promise.all(Array.from({ length: commits }, (_, index) => commit(first + index * perCommit)));
  }
}

/** Entries a second of one scan, page by page, with their values. */
async function scan(engine: EmbeddedEngine, agent: string): Promise<number> {
  const prefix = agentPrefix({ namespace: "bench", agent }) + PREFIX;
  const startedAt = performance.now();
  let count = 0;
  for (let after: string | undefined; ;) {
    const page = await engine.state(LOG, { prefix, limit: PAGE, ...(after !== undefined && { after }) });
    for (const { value } of page.entries) if (value === VALUE) count++;
    if (page.next === undefined) break;
    after = page.next;
  }
  if (count !== RECORDS) throw new Error(`${count} entries of ${RECORDS}`);
  return (count * 1000) / (performance.now() - startedAt);
}

/** Prefix scans of agents' state. */
export async function scans({ rounds }: BenchOptions): Promise<Row[]> {
  await using folder = await Folder.make();
  const filled = await folder.open();
  const agents = Object.keys(WRITTEN) as Written[];
  for (const agent of agents) await fill(filled, agent);
  await filled.close();
  const rates = new Map<Written, number[]>(agents.map((agent) => [agent, []]));
  for (let round = 0; round < rounds; round++) {
    const engine = await folder.open();
    for (const agent of agents) {
      const times: number[] = [];
      for (let turn = 0; turn < SCANS; turn++) times.push(await scan(engine, agent));
      rates.get(agent)?.push(median(times));
    }
    await engine.close();
  }
  return [...rates].map(([agent, measured]) =>
    judged(
      {
        name: `prefix scan of ${RECORDS} records, written ${agent}`,
        value: median(measured),
        unit: "entries/s",
        note: spread(measured),
      },
      { atLeast: 100_000 },
    ),
  );
}
