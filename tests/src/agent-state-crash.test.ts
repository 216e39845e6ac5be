import { rm } from "node:fs/promises";
import { newDataDir, Random, type ServerProcess, startServerProcess } from "@daybook/test-kit";
import { expect, it } from "vitest";

const WRITERS = 20;
const KILLS = 3;

interface Line {
  readonly commit_ts: number;
  readonly operations: {
    readonly key: string;
    readonly version: number;
    readonly value?: { readonly n: number };
  }[];
}

/** One writer: its own counter, a number of its own for each transaction, and what it was told. */
class Writer {
  next = 1;
  readonly acknowledged = new Map<number, number>();

  constructor(readonly name: string) {}

  /** Sends its transaction, the same one until it is answered. False: the server is gone. */
  async step(server: ServerProcess): Promise<boolean> {
    const write = { agent_id: "a", key: this.name, value: { n: this.next }, if_version: this.next - 1 };
    const shared = { agent_id: "a", key: "shared", value: { n: this.next } };
    const producer = { producer_id: this.name, producer_seq: this.next };
    const body = { operations: [write, shared], ...producer };
    const answer = await server.call("POST", "/v1/state/transactions", body).catch(() => undefined);
    if (answer === undefined) return false;
    if (answer.status !== 201) throw new Error(`${this.name}: ${answer.text}`);
    this.acknowledged.set(this.next++, (answer.json as unknown as { commit_ts: number }).commit_ts);
    return true;
  }
}

it("kill -9 in mid-transaction: what was acknowledged is there, once, and what was asked again is not there twice", async () => {
  const dataDir = await newDataDir();
  const random = new Random(20);
  const writers = Array.from({ length: WRITERS }, (_, index) => new Writer(`writer-${index}`));
  for (let kill = 0; kill < KILLS; kill++) {
    await using server = await startServerProcess({ dataDir });
    let done = 0;
    const killAfter = random.between(200, 600);
    const run = async (writer: Writer): Promise<void> => {
      while (await writer.step(server)) if (++done === killAfter) void server.kill("SIGKILL");
    };
    await Promise.all(writers.map(run));
  }
  await using server = await startServerProcess({ dataDir });
  // What was in flight is sent again, as clients do.
  for (const writer of writers) expect(await writer.step(server)).toBe(true);
  const { text } = await server.call("GET", "/v1/state/default/a/replay");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  expect(lines.map(({ commit_ts }) => commit_ts)).toEqual(lines.map((_line, index) => index + 1));
  expect(lines.map(({ operations }) => operations[1]?.version)).toEqual(
    lines.map((_line, index) => index + 1),
  );
  const found = new Map<string, Map<number, number>>(writers.map(({ name }) => [name, new Map()]));
  for (const { commit_ts, operations } of lines) {
    const [own] = operations;
    expect(own?.value?.n).toBe(own?.version);
    found.get(own?.key ?? "")?.set(own?.version ?? 0, commit_ts);
  }
  for (const { name, acknowledged } of writers) expect(found.get(name)).toEqual(acknowledged);
  await server.kill("SIGTERM");
  await rm(dataDir, { recursive: true });
});
