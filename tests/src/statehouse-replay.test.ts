import { readFile, rm } from "node:fs/promises";
import { agentStateLog, decideCommit, encodeAgentKey, needsOfCommit } from "@daybook/core";
import { openEngine } from "@daybook/engine-embedded";
import { eventually, newDataDir, type ServerProcess, startServerProcess, within } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, StatehouseClient } from "./support/statehouse-client.js";

const EVENTS = 100_000;
/** Together 300 MB: far more than a server may hold in memory for one reader. */
const VALUE = `{"text":"${"x".repeat(3_000)}"}`;
const MIB = 1024 * 1024;
/** Well below that, and above what the collector lets lie around. */
const GROWTH_MAX = 200 * MIB;

/** Commits straight into a folder: over a socket it would take minutes. */
async function fill(dataDir: string): Promise<void> {
  const engine = await openEngine(dataDir, { settings: { reserveBytes: 0 } });
  const log = agentStateLog("default");
  const key = encodeAgentKey({ namespace: "default", agent: "a", key: "k" });
  const commit = (index: number): Promise<unknown> => {
    const command = {
      ...{ log, id: `txn_${index}`, actor: "agent:a", operations: [{ key, value: VALUE }] },
      ...{ conditions: new Map<string, number>(), producer: null },
    };
    return engine.transact(log, needsOfCommit(command), (head, facts, now) =>
      decideCommit(head, facts, command, now),
    );
  };
  for (let first = 1; first <= EVENTS; first += 1_000) {
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => commit(first + index)));
  }
  await engine.close();
}

/** Resident memory of another process. */
async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

describe("a replay of 100,000 transactions", () => {
  let dataDir: string;
  let server: ServerProcess;
  let client: StatehouseClient;

  beforeAll(async () => {
    dataDir = await newDataDir();
    await fill(dataDir);
    server = await startServerProcess({ dataDir });
    client = new StatehouseClient(server.grpcAddress);
  }, 120_000);
  afterAll(async () => {
    client[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true });
  });

  it("is whole, in order and in bounded memory, over gRPC", async () => {
    await client.call("getState", { agentId: "a", key: "k" });
    const before = await memoryOf(server.pid);
    let [next, peak] = [1, 0];
    for await (const event of client.replay({ agentId: "a" })) {
      const { commitTs, txnId, operations } = event as Answer;
      if (commitTs !== String(next) || txnId !== `txn_${next}` || operations[0]?.version !== String(next))
        throw new Error(`commit ${commitTs} where ${next} should be`);
      if (next++ % 5_000 === 0) peak = Math.max(peak, await memoryOf(server.pid));
    }
    expect(next).toBe(EVENTS + 1);
    expect(peak - before).toBeLessThan(GROWTH_MAX);
  });

  it("waits at the server while its reader does not read, and others are served", async () => {
    const before = await memoryOf(server.pid);
    const stream = client.replay({ agentId: "a" });
    let received = 0;
    const ended = new Promise((resolve) => stream.once("end", resolve));
    stream.on("data", () => {
      // Once, and then as fast as it comes.
      if (++received === 10) stream.pause();
    });
    await eventually("the reader has begun and stopped", () => stream.isPaused());
    // Whatever the server reads ahead for this reader, it has read by the time all these were answered.
    for (let index = 0; index < 50; index++) {
      await client.call("getStateAtVersion", { agentId: "a", key: "k", version: 1 + index * 2_000 });
    }
    expect((await memoryOf(server.pid)) - before).toBeLessThan(GROWTH_MAX);
    stream.resume();
    await within("the rest of the replay", ended, 60_000);
    expect(received).toBe(EVENTS);
  });

  it("is whole over HTTP as well, and in bounded memory", async () => {
    const before = await memoryOf(server.pid);
    const response = await fetch(`${server.url}/v1/state/default/a/replay`);
    let [lines, bytes, peak, rest] = [0, 0, 0, ""];
    for await (const chunk of response.body ?? []) {
      bytes += (chunk as Uint8Array).length;
      const text = rest + Buffer.from(chunk as Uint8Array).toString("latin1");
      const whole = text.split("\n");
      rest = whole.pop() ?? "";
      lines += whole.length;
      if (bytes > 8 * MIB) {
        bytes = 0;
        peak = Math.max(peak, await memoryOf(server.pid));
      }
    }
    expect(lines).toBe(EVENTS);
    expect(peak - before).toBeLessThan(GROWTH_MAX);
  });

  it("answers a point near the beginning and one near the end, and a narrow range, alike", async () => {
    for (const version of [1, 50_000, EVENTS]) {
      expect(await client.call("getStateAtVersion", { agentId: "a", key: "k", version })).toMatchObject({
        commitTs: String(version),
      });
      const { json } = await server.call("GET", `/v1/state/default/a/k?at=${version}`);
      expect(json).toMatchObject({ version, commit_ts: version });
      const range = await client.replayAll({ agentId: "a", startTs: version, endTs: version });
      expect(range.map(({ commitTs }) => commitTs)).toEqual([String(version)]);
    }
  });
});
