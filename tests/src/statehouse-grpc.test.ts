import { readFileSync } from "node:fs";
import { LIMITS } from "@daybook/protocol";
import { eventually, startServer, type TestServer } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { metric } from "./support/metric.js";
import {
  type Answer,
  plain,
  PROTO,
  rawUnary,
  refusalOf,
  StatehouseClient,
  struct,
} from "./support/statehouse-client.js";

let server: TestServer;
let client: StatehouseClient;
let agents = 0;
/** An agent that no other test uses. */
const newAgent = (): string => `agent-${++agents}`;

beforeAll(async () => {
  server = await startServer({ store: "memory" });
  client = new StatehouseClient(server.grpcAddress);
});
afterAll(async () => {
  client[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

/** The answer for a record, or a version, that there never was. */
const NEVER = { exists: false, version: "0", commitTs: "0" };

const read = async (agentId: string, key: string, namespace = ""): Promise<unknown> => {
  const { exists, version, value } = await client.call("getState", { namespace, agentId, key });
  return exists ? plain(value) : `none, version ${version}`;
};

describe("the state service over gRPC", () => {
  it("is healthy, and says its version", async () => {
    expect((await client.call("health")).status).toBe("ok");
    expect((await client.call("version")).version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it("reads what was committed, and not what is only staged", async () => {
    const agentId = newAgent();
    const txnId = await client.begin();
    const value = { a: 1, b: [true, null, { c: "é😀" }, [], [[-0.5]]], d: {}, e: 1e300, "": "" };
    await client.call("write", { txnId, agentId, key: "k", value: struct(value) });
    expect(await client.call("getState", { agentId, key: "k" })).toEqual(NEVER);
    const { commitTs } = await client.call("commit", { txnId });
    const answer = await client.call("getState", { namespace: "default", agentId, key: "k" });
    expect(answer).toMatchObject({ exists: true, version: "1", commitTs });
    expect(plain(answer.value)).toEqual(value);
  });

  it("gives each commit a commit_ts above the one before, an empty one too", async () => {
    const stamps: number[] = [];
    for (let index = 0; index < 3; index++) stamps.push(await client.commit([]));
    stamps.push(await client.commit([["k", {}]], { agentId: newAgent() }));
    expect(stamps).toEqual(stamps.map((_stamp, index) => (stamps[0] ?? 0) + index));
    await using fresh = await startServer({ store: "memory" });
    using other = new StatehouseClient(fresh.grpcAddress);
    expect(await other.commit([])).toBe(1);
  });

  it("commits to several agents and namespaces in one transaction, all or nothing", async () => {
    const [one, other] = [newAgent(), newAgent()];
    const write = async (txnId: string, ifVersion?: number): Promise<void> => {
      const value = struct({ txnId });
      await client.call("write", { txnId, agentId: one, key: "k", value });
      await client.call("write", { txnId, namespace: "team", agentId: other, key: "k", value, ifVersion });
    };
    const txnId = await client.begin();
    await write(txnId);
    const { commitTs } = await client.call("commit", { txnId });
    for (const [agentId, namespace] of [
      [one, ""],
      [other, "team"],
    ]) {
      expect(await client.call("getState", { agentId, namespace, key: "k" })).toMatchObject({ commitTs });
    }
    expect(await read(other, "k")).toBe("none, version 0");
    const failing = await client.begin();
    await write(failing, 7);
    expect(await refusalOf(client.call("commit", { txnId: failing }))).toBe("ABORTED:state_conflict");
    expect(await read(one, "k")).toEqual({ txnId });
  });

  it("makes a version of each of several writes to a key, and of a delete", async () => {
    const agentId = newAgent();
    const at = await client.commit(
      [
        ["k", { n: 1 }],
        ["k", { n: 2 }],
        ["k", undefined],
        ["k", { n: 4 }],
      ],
      { agentId },
    );
    const versions: unknown[] = [];
    for (let version = 0; version <= 5; version++) {
      versions.push(await client.call("getStateAtVersion", { agentId, key: "k", version }));
    }
    const commitTs = String(at);
    expect(versions).toEqual(
      [
        NEVER,
        { exists: true, version: "1", commitTs, value: struct({ n: 1 }) },
        { exists: true, version: "2", commitTs, value: struct({ n: 2 }) },
        { exists: false, version: "3", commitTs },
        { exists: true, version: "4", commitTs, value: struct({ n: 4 }) },
        NEVER,
      ].map((answer) => expect.objectContaining(answer) as unknown),
    );
    const huge = { agentId, key: "k", version: "18446744073709551615" };
    expect(await client.call("getStateAtVersion", huge)).toEqual(NEVER);
    expect(await client.call("getStateAtVersion", { agentId, key: "none", version: 1 })).toEqual(NEVER);
  });

  it("answers a deleted record with its tombstone's version and no value", async () => {
    const agentId = newAgent();
    await client.commit([["k", {}]], { agentId });
    const at = await client.commit([["k", undefined]], { agentId });
    expect(await client.call("getState", { agentId, key: "k" })).toEqual({
      ...{ exists: false, version: "2", commitTs: String(at) },
    });
    // Deleting what there is not makes a tombstone too.
    await client.commit([["never", undefined]], { agentId });
    expect(await client.call("getState", { agentId, key: "never" })).toMatchObject({
      exists: false,
      version: "1",
    });
    await client.commit([["k", { again: true }]], { agentId });
    expect(await client.call("getState", { agentId, key: "k" })).toMatchObject({
      exists: true,
      version: "3",
    });
  });

  it("takes an empty object for a value, which is not no value", async () => {
    const agentId = newAgent();
    await client.commit([["k", {}]], { agentId });
    const answer = await client.call("getState", { agentId, key: "k" });
    expect(answer).toMatchObject({ exists: true, version: "1" });
    expect(plain(answer.value)).toEqual({});
  });

  it("lists and scans in the order of the keys' bytes, without tombstones", async () => {
    const agentId = newAgent();
    const keys = ["memory:episodic:001", "memory/x", "memory:semantic", "é", "z", "😀", "A"];
    await client.commit(
      [...keys, "gone"].map((key) => [key, { key }] as const),
      { agentId },
    );
    await client.commit(
      [
        ["gone", undefined],
        ["never", undefined],
      ],
      { agentId },
    );
    const sorted = keys.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    expect((await client.call("listKeys", { agentId })).keys).toEqual(sorted);
    const { entries } = await client.call("scanPrefix", { agentId, prefix: "" });
    expect(entries.map(({ key }) => key)).toEqual(sorted);
    expect(entries.map(({ value }) => plain(value))).toEqual(sorted.map((key) => ({ key })));
    expect(entries[0]).toMatchObject({ version: "1" });
    const some = await client.call("scanPrefix", { agentId, prefix: "memory:" });
    expect(some.entries.map(({ key }) => key)).toEqual(["memory:episodic:001", "memory:semantic"]);
    expect((await client.call("listKeys", { agentId: "nobody" })).keys).toEqual([]);
    expect((await client.call("scanPrefix", { agentId, prefix: "nothing" })).entries).toEqual([]);
  });

  it("keeps identities apart that would be one when joined", async () => {
    const suffix = newAgent();
    const ids = [
      ["a", `b:${suffix}`, "c"],
      ["a:b", suffix, "c"],
      ["a", "b", `${suffix}:c`],
      ["a/b", suffix, "c"],
      ["a", `b/${suffix}`, "c"],
      ["a", "b", `${suffix}/c`],
      ["a b", suffix, "c"],
    ] as const;
    for (const [index, [namespace, agentId, key]] of ids.entries())
      await client.commit([[key, { index }]], { namespace, agentId });
    for (const [index, [namespace, agentId, key]] of ids.entries()) {
      expect(await read(agentId, key, namespace)).toEqual({ index });
      expect((await client.call("listKeys", { namespace, agentId })).keys).toContain(key);
    }
    expect((await client.call("listKeys", { namespace: "a:b", agentId: suffix })).keys).toEqual(["c"]);
  });

  it("reads what HTTP wrote, and HTTP what it wrote", async () => {
    const agentId = newAgent();
    const value = { n: 12345678901234567890n.toString(), deep: [{ a: [1.5] }] };
    const operations = [{ agent_id: agentId, key: "http", value }];
    await server.call("POST", "/v1/state/transactions", { operations });
    expect(await read(agentId, "http")).toEqual(value);
    await client.commit([["grpc", { n: -0, m: 1e21, s: '\u0000\n"é' }]], { agentId });
    const { text } = await server.call("GET", `/v1/state/default/${agentId}/grpc`);
    expect(text).toContain(`"value":{"n":-0,"m":1e+21,"s":"\\u0000\\n\\"é"}`);
  });
});

describe("a transaction", () => {
  const tried = async (txnId: string): Promise<Record<string, string>> => {
    const target = { txnId, agentId: "a", key: "k" };
    return {
      write: await refusalOf(client.call("write", { ...target, value: struct({}) })),
      delete: await refusalOf(client.call("delete", target)),
      commit: await refusalOf(client.call("commit", { txnId })),
    };
  };
  const all = (refusal: string): Record<string, string> => ({
    write: refusal,
    delete: refusal,
    commit: refusal,
  });

  it("that there is not, is not found", async () => {
    for (const txnId of ["", "txn_none", "\u0000"]) {
      expect(await tried(txnId)).toEqual(all("NOT_FOUND:transaction_not_found"));
    }
  });

  it("that was committed, takes nothing more", async () => {
    const txnId = await client.begin();
    await client.call("commit", { txnId });
    expect(await tried(txnId)).toEqual(all("FAILED_PRECONDITION:transaction_ended"));
  });

  it("that was aborted, did nothing and takes nothing more", async () => {
    const agentId = newAgent();
    const txnId = await client.begin();
    await client.call("write", { txnId, agentId, key: "k", value: struct({}) });
    expect(await refusalOf(client.call("abort", { txnId }))).toBe("OK");
    expect(await tried(txnId)).toEqual(all("FAILED_PRECONDITION:transaction_ended"));
    expect(await client.call("getState", { agentId, key: "k" })).toEqual(NEVER);
  });

  it("that was not committed in time, expired and did nothing", async () => {
    const agentId = newAgent();
    for (const timeoutMs of [0, 1]) {
      const txnId = await client.begin(timeoutMs);
      const write = { txnId, agentId, key: "k", value: struct({}) };
      await eventually(
        "the transaction expires",
        async () => (await refusalOf(client.call("write", write))) !== "OK",
      );
      expect(await tried(txnId)).toEqual(all("DEADLINE_EXCEEDED:transaction_expired"));
    }
    expect(await client.call("getState", { agentId, key: "k" })).toEqual(NEVER);
    expect(await refusalOf(client.call("beginTransaction", { timeoutMs: LIMITS.transactionMsMax + 1 }))).toBe(
      "INVALID_ARGUMENT:invalid_state",
    );
  });

  it("can be aborted in whatever state it is, also when there is none", async () => {
    const committed = await client.begin();
    await client.call("commit", { txnId: committed });
    const expired = await client.begin(0);
    const aborted = await client.begin();
    for (const txnId of ["none", "", committed, expired, aborted, aborted]) {
      expect(await refusalOf(client.call("abort", { txnId }))).toBe("OK");
    }
    expect(await refusalOf(client.call("commit", { txnId: committed }))).toMatch("FAILED_PRECONDITION");
  });

  it("is committed once, however many try at once", async () => {
    const agentId = newAgent();
    const txnId = await client.begin();
    await client.call("write", { txnId, agentId, key: "k", value: struct({}) });
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => refusalOf(client.call("commit", { txnId }))),
    );
    expect(outcomes.toSorted()).toEqual([
      ...Array.from({ length: 19 }, () => "FAILED_PRECONDITION:transaction_ended"),
      "OK",
    ]);
    expect(await client.call("getState", { agentId, key: "k" })).toMatchObject({ version: "1" });
  });

  it("holds its conditions against what was committed before it", async () => {
    const agentId = newAgent();
    const attempt = async (ifVersion: number, rpc: "write" | "delete" = "write"): Promise<string> => {
      const txnId = await client.begin();
      const target = { txnId, agentId, key: "k", ifVersion };
      await client.call(rpc, rpc === "write" ? { ...target, value: struct({}) } : target);
      await client.call("write", { ...target, value: struct({}) });
      const refusal = await refusalOf(client.call("commit", { txnId }));
      // A conflict ends the transaction: its conditions will not come to hold.
      if (refusal !== "OK")
        expect(await refusalOf(client.call("commit", { txnId }))).toMatch("FAILED_PRECONDITION");
      return refusal;
    };
    expect(await attempt(1)).toBe("ABORTED:state_conflict");
    expect(await attempt(0)).toBe("OK");
    expect(await attempt(0)).toBe("ABORTED:state_conflict");
    expect(await attempt(1)).toBe("ABORTED:state_conflict");
    expect(await attempt(2, "delete")).toBe("OK");
    expect(await attempt(3)).toBe("ABORTED:state_conflict");
    expect(await attempt(4)).toBe("OK");
    await client.commit([["k", undefined]], { agentId });
    // A tombstone is no record: "must not exist" holds.
    expect(await attempt(0)).toBe("OK");
  });

  it("loses no increment of 50 writers that all change one key with if_version", async () => {
    const agentId = newAgent();
    const writer = async (): Promise<void> => {
      for (let refusal = ""; refusal !== "OK";) {
        const { value, version } = await client.call("getState", { agentId, key: "counter" });
        const { n } = (plain(value) ?? { n: 0 }) as { n: number };
        const txnId = await client.begin();
        await client.call("write", {
          txnId,
          agentId,
          key: "counter",
          value: struct({ n: n + 1 }),
          ifVersion: version,
        });
        refusal = await refusalOf(client.call("commit", { txnId }));
      }
    };
    await Promise.all(Array.from({ length: 50 }, writer));
    expect(await read(agentId, "counter")).toEqual({ n: 50 });
    expect(await client.call("getState", { agentId, key: "counter" })).toMatchObject({
      version: "50",
    });
  });
});

describe("what is no good", () => {
  const write = async (more: object): Promise<string> => {
    const txnId = await client.begin();
    return refusalOf(client.call("write", { txnId, agentId: "a", key: "k", value: struct({}), ...more }));
  };
  it.each<[string, object]>([
    ["an empty agent", { agentId: "" }],
    ["an agent that a path eats", { agentId: ".." }],
    ["an agent that is too long", { agentId: "a".repeat(LIMITS.agentNameBytesMax + 1) }],
    ["an agent with a control character", { agentId: "a\u001fb" }],
    ["a namespace that is too long", { namespace: "é".repeat(LIMITS.agentNameBytesMax / 2) + "x" }],
    ["a namespace with a NUL", { namespace: "a\u0000" }],
    ["an empty key", { key: "" }],
    ["a key that is too long", { key: "k".repeat(LIMITS.stateKeyBytesMax + 1) }],
    ["a key with a line end", { key: "a\nb" }],
    ["a key with a control character", { key: "a\u0085" }],
    ["no value", { value: undefined }],
    ["NaN", { value: struct({ a: Number.NaN }) }],
    ["infinity", { value: struct({ a: [{ b: Number.POSITIVE_INFINITY }] }) }],
    ["minus infinity", { value: struct({ a: Number.NEGATIVE_INFINITY }) }],
    ["a value of no kind", { value: { fields: { a: {} } } }],
    ["a condition beyond any version", { ifVersion: "18446744073709551615" }],
  ])("is refused: %s", async (_name, more) => {
    expect(await write(more)).toBe("INVALID_ARGUMENT:invalid_state");
  });

  it("is told from what is good by one level, one byte, one letter", async () => {
    const txnId = await client.begin();
    const deep = (count: number): Promise<string> =>
      refusalOf(rawUnary(server.grpcAddress, "Write", writeBytes(txnId, "a", levels(count))));
    expect(await deep(LIMITS.jsonDepthMax - 1)).toBe("OK");
    expect(await deep(LIMITS.jsonDepthMax)).toBe("INVALID_ARGUMENT:invalid_state");
    expect(await write({ key: "é".repeat(LIMITS.stateKeyBytesMax / 2) })).toBe("OK");
    expect(await write({ agentId: "é".repeat(LIMITS.agentNameBytesMax / 2) })).toBe("OK");
    const sized = (bytes: number): object => ({ a: "x".repeat(bytes - '{"a":""}'.length) });
    expect(await write({ value: struct(sized(LIMITS.stateValueBytesMax)) })).toBe("OK");
    expect(await write({ value: struct(sized(LIMITS.stateValueBytesMax + 1)) })).toBe(
      "INVALID_ARGUMENT:state_too_large",
    );
    // As a Struct this is five times as long as it is as JSON.
    const zeros = { a: Array.from({ length: LIMITS.stateValueBytesMax / 2 - 4 }, () => 0) };
    expect(await write({ value: struct(zeros) })).toBe("OK");
  });

  it("is refused in reads as well", async () => {
    for (const [rpc, request] of [
      ["getState", { agentId: "", key: "k" }],
      ["getState", { agentId: "a", key: "" }],
      ["getStateAtVersion", { agentId: "a", key: "" }],
      ["listKeys", { agentId: "" }],
      ["scanPrefix", { agentId: "a", prefix: "\u0000" }],
      ["delete", { txnId: "t", agentId: "a", key: "" }],
    ] as const) {
      expect(await refusalOf(client.call(rpc, request))).toBe("INVALID_ARGUMENT:invalid_state");
    }
    expect(await refusalOf(client.replayAll({ agentId: "" }))).toBe("INVALID_ARGUMENT:invalid_state");
  });

  it("keeps members that mean something to JavaScript, and the last of several of one name", async () => {
    const agentId = newAgent();
    const txnId = await client.begin();
    const entry = (name: string, value: Buffer): Buffer =>
      field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, value)]));
    const text = (value: string): Buffer => field(3, Buffer.from(value));
    const value = Buffer.concat([
      entry("__proto__", field(5, entry("constructor", text("c")))),
      entry("twice", text("one")),
      entry("twice", text("two")),
    ]);
    await rawUnary(server.grpcAddress, "Write", writeBytes(txnId, agentId, value));
    await client.call("commit", { txnId });
    const { text: json } = await server.call("GET", `/v1/state/default/${agentId}/k`);
    expect(json).toContain('"value":{"__proto__":{"constructor":"c"},"twice":"two"}');
  });

  it.each<[string, Buffer]>([
    ["a struct that ends too early", Buffer.from([0x0a, 0x7f])],
    [
      "text that is no UTF-8",
      field(1, Buffer.concat([field(1, Buffer.from([0xff])), field(2, field(3, Buffer.alloc(0)))])),
    ],
    ["a member without a value", field(1, field(1, Buffer.from("a")))],
    ["a tag of no field", Buffer.from([0x00])],
    ["an endless group", Buffer.from([0x0b])],
    ["a thousand levels", levels(1_000)],
    ["a hundred thousand levels", levels(100_000)],
  ])("is refused in its bytes: %s", async (_name, value) => {
    const txnId = await client.begin();
    expect(await refusalOf(rawUnary(server.grpcAddress, "Write", writeBytes(txnId, "a", value)))).toMatch(
      /^INVALID_ARGUMENT/,
    );
  });

  it.each([
    ["garbage", Buffer.from([0xff, 0xff, 0xff])],
    ["a text for a number", Buffer.concat([field(6, Buffer.from("x"))])],
    ["an id that is no UTF-8", field(1, Buffer.from([0xc3, 0x28]))],
  ])("is refused as a message: %s", async (_name, message) => {
    expect(await refusalOf(rawUnary(server.grpcAddress, "Write", message))).toMatch(
      /^(INVALID_ARGUMENT|NOT_FOUND)/,
    );
    expect((await client.call("health")).status).toBe("ok");
  });

  it("does not exist: another rpc, another service", async () => {
    expect(await refusalOf(rawUnary(server.grpcAddress, "Nothing", Buffer.alloc(0)))).toBe("UNIMPLEMENTED");
  });
});

/** A length-delimited field. */
function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(content.length), content]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

function writeBytes(txnId: string, agentId: string, value: Buffer): Buffer {
  return Buffer.concat([
    field(1, Buffer.from(txnId)),
    field(3, Buffer.from(agentId)),
    field(4, Buffer.from("k")),
    field(5, value),
  ]);
}

/** A struct with lists in lists, built from the inside, as bytes. */
function levels(count: number): Buffer {
  const heads: Buffer[] = [];
  let length = 0;
  for (let level = 0; level < count; level++) {
    // ListValue { values: Value { list_value: … } }; the innermost list is empty.
    const inner = level === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), varint(length)]);
    const outer = Buffer.concat([Buffer.from([0x32]), varint(inner.length + length)]);
    heads.push(inner, outer);
    length += inner.length + outer.length;
  }
  const value = Buffer.concat(heads.toReversed());
  return field(1, Buffer.concat([field(1, Buffer.from("a")), field(2, value)]));
}

describe("a replay", () => {
  const stampsOf = (events: readonly Answer[]): number[] => events.map(({ commitTs }) => Number(commitTs));

  it("gives an agent's transactions in their order, with its own operations", async () => {
    const [agentId, other] = [newAgent(), newAgent()];
    const txnId = await client.begin();
    await client.call("write", { txnId, agentId, key: "k", value: struct({ n: 1 }) });
    await client.call("write", { txnId, agentId: other, key: "k", value: struct({ n: 2 }) });
    await client.call("delete", { txnId, agentId, key: "l" });
    await client.call("write", { txnId, agentId, key: "k", value: struct({}) });
    const { commitTs } = await client.call("commit", { txnId });
    await client.commit([["k", {}]], { agentId: other });
    await client.commit([]);
    const second = await client.commit([["l", {}]], { agentId });
    const events = await client.replayAll({ agentId });
    expect(events[0]).toMatchObject({ txnId, commitTs });
    expect(
      events.map(({ operations }) =>
        operations.map(({ key, version, value }) => [key, version, plain(value)]),
      ),
    ).toEqual([
      [
        ["k", "1", { n: 1 }],
        ["l", "1", undefined],
        ["k", "2", {}],
      ],
      [["l", "2", {}]],
    ]);
    expect(stampsOf(events)).toEqual([Number(commitTs), second]);
    expect(await client.replayAll({ agentId: "nobody" })).toEqual([]);
  });

  it("includes both of its bounds, each counting only when it is there", async () => {
    const agentId = newAgent();
    const stamps: number[] = [];
    for (let index = 0; index < 5; index++) {
      stamps.push(await client.commit([["k", { index }]], { agentId }));
      await client.commit([]);
    }
    const between = async (bounds: object): Promise<number[]> =>
      stampsOf(await client.replayAll({ agentId, ...bounds }));
    expect(await between({})).toEqual(stamps);
    expect(await between({ startTs: 0 })).toEqual(stamps);
    expect(await between({ endTs: 0 })).toEqual([]);
    expect(await between({ startTs: stamps[1] })).toEqual(stamps.slice(1));
    expect(await between({ startTs: (stamps[1] ?? 0) + 1 })).toEqual(stamps.slice(2));
    expect(await between({ endTs: stamps[3] })).toEqual(stamps.slice(0, 4));
    expect(await between({ endTs: (stamps[3] ?? 0) - 1 })).toEqual(stamps.slice(0, 3));
    expect(await between({ startTs: stamps[2], endTs: stamps[2] })).toEqual([stamps[2]]);
    expect(await between({ startTs: stamps[3], endTs: stamps[1] })).toEqual([]);
    expect(await between({ startTs: "18446744073709551615" })).toEqual([]);
    expect(await between({ endTs: "18446744073709551615" })).toEqual(stamps);
  });

  it("is of what was there when it began", async () => {
    const agentId = newAgent();
    const value = { a: "x".repeat(100_000) };
    for (let index = 0; index < 20; index++) await client.commit([["k", value]], { agentId });
    const stream = client.replay({ agentId });
    const received: Answer[] = [];
    for await (const event of stream) {
      received.push(event as Answer);
      if (received.length === 1) await client.commit([["k", {}]], { agentId });
    }
    expect(received).toHaveLength(20);
  });

  it("ends at the server when the caller cancels or runs out of time", async () => {
    const agentId = newAgent();
    const value = { a: "x".repeat(500_000) };
    for (let index = 0; index < 40; index++) await client.commit([["k", value]], { agentId });
    const cancelled = (): Promise<number> =>
      metric(server.opsUrl, 'daybook_rpcs_total{rpc="replay",result="cancelled"}');
    const before = await cancelled();
    const stream = client.replay({ agentId });
    const refusal = new Promise((resolve) => stream.once("error", resolve));
    await new Promise((resolve) => stream.once("data", resolve));
    stream.pause();
    stream.cancel();
    expect(await refusal).toMatchObject({ code: 1 });
    await eventually("the server saw that the caller is gone", async () => (await cancelled()) > before);
    const late = client.replay({ agentId }, { deadline: Date.now() + 300 });
    const failure = new Promise((resolve) => late.once("error", resolve));
    late.once("data", () => late.pause());
    expect(await failure).toMatchObject({ code: 4 });
    await eventually("the server saw the deadline", async () => (await cancelled()) > before + 1);
    expect(await refusalOf(client.call("getState", { agentId, key: "k" }, { deadline: 20_000 }))).toBe("OK");
  });
});

describe("the service's definition", () => {
  it("is the one that the generated code was made of", async () => {
    const { file_statehouse_v1_statehouse: file } = (await import(
      new URL("../../packages/server/dist/generated/statehouse/v1/statehouse_pb.js", import.meta.url).href
    )) as { file_statehouse_v1_statehouse: GeneratedFile };
    const generated = file.messages.map(({ name, fields }) => [
      name,
      fields.map((one) => `${one.name}=${one.number}`),
    ]);
    const source = readFileSync(PROTO, "utf8");
    const written = [...source.matchAll(/^message (\w+) \{([^}]*)\}/gm)].map(([, name, body = ""]) => [
      name,
      [...body.matchAll(/^ +(?!\/\/)[\w. ]*?(\w+) = (\d+);/gm)].map(
        ([, field, number]) => `${field ?? ""}=${number ?? ""}`,
      ),
    ]);
    expect(generated).toEqual(written);
    expect(written.length).toBe(26);
  });
});

interface GeneratedFile {
  readonly messages: readonly {
    readonly name: string;
    readonly fields: readonly { readonly name: string; readonly number: number }[];
  }[];
}
