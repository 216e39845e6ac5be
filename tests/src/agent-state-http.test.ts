import { LIMITS } from "@daybook/protocol";
import { eventually, startServer, type TestServer } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EventStream } from "./support/event-stream.js";

interface Entry {
  readonly key: string;
  readonly version: number;
  readonly commit_ts: number;
  readonly deleted: boolean;
  readonly value?: unknown;
}

interface Line {
  readonly txn_id: string;
  readonly commit_ts: number;
  readonly committed_at: string;
  readonly actor: string;
  readonly operations: Omit<Entry, "commit_ts">[];
}

type Write = Record<string, unknown>;

let server: TestServer;
let agents = 0;
/** An agent that no other test uses; its name must survive a path. */
const newAgent = (): string => `team/agent ${++agents}`;
const pathOf = (agent: string, rest = ""): string => `/v1/state/default/${encodeURIComponent(agent)}${rest}`;

beforeAll(async () => {
  server = await startServer({ store: "memory" });
});
afterAll(() => server[Symbol.asyncDispose]());

async function get<Answer>(path: string): Promise<Answer> {
  const { status, text, json } = await server.call("GET", path);
  if (status !== 200) throw new Error(`${path} answered ${status}: ${text}`);
  return json as unknown as Answer;
}

const codeOf = async (method: string, path: string, body?: unknown): Promise<string> => {
  const { status, json } = await server.call(method, path, body);
  return `${status} ${json.error}`;
};

/** Commits writes for an agent; answers the commit_ts. */
async function commit(agent: string, ...writes: Write[]): Promise<number> {
  const operations = writes.map((write) => ({ agent_id: agent, ...write }));
  const { status, json, text } = await server.call("POST", "/v1/state/transactions", { operations });
  if (status !== 201) throw new Error(`the transaction answered ${status}: ${text}`);
  return (json as unknown as { commit_ts: number }).commit_ts;
}

async function replay(path: string): Promise<Line[]> {
  const { text } = await server.call("GET", path);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

describe("a transaction in one call", () => {
  it("is committed as a whole, and its records are read with the exact text they were written with", async () => {
    const agent = newAgent();
    const body =
      `{"operations":[{"agent_id":${JSON.stringify(agent)},"key":"a/1","value":{"z":1.0, "n":12345678901234567890,"a":"\\u00e9"}},` +
      `{"namespace":"other","agent_id":"b","key":"k","value":{}}]}`;
    const { status, json } = await server.call("POST", "/v1/state/transactions", body);
    expect(status).toBe(201);
    const { commit_ts, txn_id, deduped } = json as unknown as Record<string, unknown>;
    expect(txn_id).toMatch(/^txn_/);
    expect(deduped).toBe(false);
    const { text } = await server.call("GET", pathOf(agent, "/a%2F1"));
    expect(text).toBe(
      `{"key":"a/1","version":1,"commit_ts":${String(commit_ts)},"deleted":false,"value":{"z":1.0, "n":12345678901234567890,"a":"\\u00e9"}}`,
    );
    expect(await get("/v1/state/other/b/k")).toMatchObject({ commit_ts, value: {} });
  });

  it("takes a commit_ts even when it is empty, each one more than the one before", async () => {
    const first = await commit(newAgent());
    expect(await commit(newAgent())).toBe(first + 1);
  });

  it("is none at all when a condition does not hold, and says which", async () => {
    const agent = newAgent();
    const at = await commit(agent, { key: "k", value: { n: 1 } });
    for (const if_version of [0, 2]) {
      const operations = [
        { agent_id: agent, key: "other", value: {} },
        { agent_id: agent, key: "k", value: {}, if_version },
      ];
      const { status, json } = await server.call("POST", "/v1/state/transactions", { operations });
      expect(status).toBe(409);
      expect(json).toMatchObject({
        ...{ error: "state_conflict", namespace: "default", agent_id: agent, key: "k" },
        ...{ current_version: 1, current_commit_ts: at },
      });
    }
    expect(await codeOf("GET", pathOf(agent, "/other"))).toBe("404 state_key_not_found");
    await commit(agent, { key: "k", value: {}, if_version: 1 }, { key: "new", value: {}, if_version: 0 });
  });

  it("loses no increment of 50 writers that all change one record with if_version", async () => {
    const agent = newAgent();
    const writer = async (): Promise<void> => {
      for (let status = 0; status !== 201;) {
        const { json } = await server.call("GET", pathOf(agent, "/counter"));
        const { version = 0, value } = json as unknown as { version?: number; value?: { n: number } };
        const write = {
          agent_id: agent,
          key: "counter",
          value: { n: (value?.n ?? 0) + 1 },
          if_version: version,
        };
        ({ status } = await server.call("POST", "/v1/state/transactions", { operations: [write] }));
      }
    };
    await Promise.all(Array.from({ length: 50 }, writer));
    expect(await get(pathOf(agent, "/counter"))).toMatchObject({ version: 50, value: { n: 50 } });
  });

  it("can be sent again under its producer's number, and is committed once", async () => {
    const agent = newAgent();
    const body = {
      operations: [
        { agent_id: agent, key: "k", value: { n: 1 }, if_version: 0 },
        { agent_id: agent, key: "k", delete: true },
      ],
      producer_id: "writer",
      producer_seq: 1,
    };
    const answers: { commit_ts: number; txn_id: string; deduped: boolean }[] = [];
    for (let index = 0; index < 3; index++) {
      const { status, json } = await server.call("POST", "/v1/state/transactions", body);
      expect(status).toBe(201);
      answers.push(json as never);
      await commit(agent, { key: "k", value: {} });
    }
    expect(new Set(answers.map(({ commit_ts }) => commit_ts)).size).toBe(1);
    expect(new Set(answers.map(({ txn_id }) => txn_id)).size).toBe(1);
    expect(answers.map(({ deduped }) => deduped)).toEqual([false, true, true]);
    const other = { ...body, operations: [] };
    expect(await codeOf("POST", "/v1/state/transactions", other)).toBe("409 producer_replay_conflict");
    expect(await codeOf("POST", "/v1/state/transactions", { ...other, producer_seq: 3 })).toBe(
      "409 producer_seq_conflict",
    );
  });

  it.each<[string, unknown]>([
    ["no operations", {}],
    ["operations that are no list", { operations: {} }],
    ["no agent", { operations: [{ key: "k", value: {} }] }],
    ["an empty agent", { operations: [{ agent_id: "", key: "k", value: {} }] }],
    ["an agent that a path eats", { operations: [{ agent_id: "..", key: "k", value: {} }] }],
    ["an agent with a control character", { operations: [{ agent_id: "a\u001fb", key: "k", value: {} }] }],
    ["a namespace with a NUL", { operations: [{ namespace: "a\0", agent_id: "a", key: "k", value: {} }] }],
    ["an empty key", { operations: [{ agent_id: "a", key: "", value: {} }] }],
    ["a key with a broken surrogate", '{"operations":[{"agent_id":"a","key":"\\ud800","value":{}}]}'],
    ["a value that is a list", { operations: [{ agent_id: "a", key: "k", value: [] }] }],
    ["a value that is null", { operations: [{ agent_id: "a", key: "k", value: null }] }],
    ["a value and a delete", { operations: [{ agent_id: "a", key: "k", value: {}, delete: true }] }],
    ["neither value nor delete", { operations: [{ agent_id: "a", key: "k" }] }],
    ["delete: false", { operations: [{ agent_id: "a", key: "k", delete: false }] }],
    ["a negative condition", { operations: [{ agent_id: "a", key: "k", value: {}, if_version: -1 }] }],
    ["a number beyond doubles", '{"operations":[{"agent_id":"a","key":"k","value":{"n":[1e999]}}]}'],
    ["a value twice", '{"operations":[{"agent_id":"a","key":"k","value":{"a":1,"a":2}}]}'],
    [
      "deep nesting",
      `{"operations":[{"agent_id":"a","key":"k","value":{"a":${"[".repeat(65)}${"]".repeat(65)}}}]}`,
    ],
    ["a producer without a number", { operations: [], producer_id: "p" }],
    ["a number without a producer", { operations: [], producer_seq: 1 }],
    ["a list", []],
    ["no JSON", "{"],
    [
      "two conditions on one record that cannot both hold",
      {
        operations: [
          { agent_id: "a", key: "k", value: {}, if_version: 1 },
          { agent_id: "a", key: "k", delete: true, if_version: 2 },
        ],
      },
    ],
  ])("is refused with %s", async (_name, body) => {
    expect(await codeOf("POST", "/v1/state/transactions", body)).toBe("400 invalid_state");
  });

  it("says which operation is wrong", async () => {
    const operations = [
      { agent_id: "a", key: "k", value: {} },
      { agent_id: "a", key: "", value: {} },
    ];
    const { json } = await server.call("POST", "/v1/state/transactions", { operations });
    expect(json).toMatchObject({ error: "invalid_state", index: 1 });
  });
});

describe("the limits of a transaction", () => {
  const tried = async (operations: Write[]): Promise<string> => {
    const { status, json } = await server.call("POST", "/v1/state/transactions", { operations });
    return status === 201 ? "ok" : `${status} ${json.error}`;
  };
  /** A JSON object of so many bytes. */
  const sized = (bytes: number): Record<string, string> => ({ a: "x".repeat(bytes - '{"a":""}'.length) });

  it.each<[string, (over: number) => Write]>([
    [
      "key",
      (over) => ({
        agent_id: "a",
        key: "é".repeat(LIMITS.stateKeyBytesMax / 2) + "x".repeat(over),
        value: {},
      }),
    ],
    [
      "agent",
      (over) => ({
        agent_id: "é".repeat(LIMITS.agentNameBytesMax / 2) + "x".repeat(over),
        key: "k",
        value: {},
      }),
    ],
    [
      "namespace",
      (over) => ({
        namespace: "é".repeat(LIMITS.agentNameBytesMax / 2) + "x".repeat(over),
        ...{ agent_id: "a", key: "k", value: {} },
      }),
    ],
  ])("are kept at the edge: %s", async (_name, write) => {
    expect(await tried([write(0)])).toBe("ok");
    expect(await tried([write(1)])).toBe("400 invalid_state");
  });

  it("are kept at the edge: the longest names together are written, read and deleted", async () => {
    const [namespace, agent_id] = ["n", "a"].map((one) => one.repeat(LIMITS.agentNameBytesMax));
    const key = "k".repeat(LIMITS.stateKeyBytesMax);
    expect(await tried([{ namespace, agent_id, key, value: { n: 1 } }])).toBe("ok");
    expect(await get(`/v1/state/${namespace ?? ""}/${agent_id ?? ""}/${key}`)).toMatchObject({
      value: { n: 1 },
    });
    expect(await tried([{ namespace, agent_id, key, delete: true }])).toBe("ok");
  });

  it("are kept at the edge: value", async () => {
    expect(await tried([{ agent_id: "a", key: "k", value: sized(LIMITS.stateValueBytesMax) }])).toBe("ok");
    expect(await tried([{ agent_id: "a", key: "k", value: sized(LIMITS.stateValueBytesMax + 1) }])).toBe(
      "413 state_too_large",
    );
  });

  it("are kept at the edge: depth, which is that of gRPC", async () => {
    const nested = (levels: number): string =>
      `{"operations":[{"agent_id":"a","key":"deep","value":{"a":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}}]}`;
    expect(await codeOf("POST", "/v1/state/transactions", nested(LIMITS.jsonDepthMax))).toMatch(/^201 /);
    expect(await codeOf("POST", "/v1/state/transactions", nested(LIMITS.jsonDepthMax + 1))).toBe(
      "400 invalid_state",
    );
    expect(await get("/v1/state/default/a/deep")).toMatchObject({ version: 1 });
  });

  it("are kept at the edge: operations", async () => {
    const operations = Array.from({ length: LIMITS.transactionOperationsMax }, (_, index) => ({
      ...{ agent_id: "many", key: `k${index % 7}`, value: { index } },
    }));
    expect(await tried(operations)).toBe("ok");
    expect(await tried([...operations, { agent_id: "many", key: "k", delete: true }])).toBe(
      "413 state_too_large",
    );
    const { versions } = await get<{ versions: Entry[] }>("/v1/state/default/many/k0/history?limit=1000");
    expect(versions).toHaveLength(1_000);
  });

  it("are kept at the edge: bytes of keys and values", async () => {
    // namespace, separators and agent count as parts of the key: "default␟a␟k0".
    const key = "default a k0".length;
    const whole = LIMITS.transactionBytesMax / 8 - key;
    const operations = Array.from({ length: 8 }, (_, index) => ({
      ...{ agent_id: "a", key: `k${index}`, value: sized(whole) },
    }));
    expect(await tried(operations)).toBe("ok");
    operations[7] = { agent_id: "a", key: "k7", value: sized(whole + 1) };
    expect(await tried(operations)).toBe("413 state_too_large");
  });
});

describe("an agent's state over HTTP", () => {
  it("is read as of any commit and any time, by version, with its history", async () => {
    const agent = newAgent();
    const stamps = [
      await commit(agent, { key: "k", value: { n: 1 } }),
      await commit(
        agent,
        { key: "k", value: { n: 2 } },
        { key: "k", value: { n: 3 } },
        { key: "l", value: {} },
      ),
      await commit(agent, { key: "k", delete: true }),
      await commit(agent, { key: "k", value: { n: 4 } }),
    ];
    const [one = 0, two = 0, three = 0, four = 0] = stamps;
    const { versions } = await get<{ versions: Entry[] }>(pathOf(agent, "/k/history"));
    expect(versions).toEqual([
      { key: "k", version: 1, commit_ts: one, deleted: false, value: { n: 1 } },
      { key: "k", version: 2, commit_ts: two, deleted: false, value: { n: 2 } },
      { key: "k", version: 3, commit_ts: two, deleted: false, value: { n: 3 } },
      { key: "k", version: 4, commit_ts: three, deleted: true },
      { key: "k", version: 5, commit_ts: four, deleted: false, value: { n: 4 } },
    ]);
    expect((await get<{ versions: Entry[] }>(pathOf(agent, "/k/history?cursor=3&limit=1"))).versions).toEqual(
      versions.slice(3, 4),
    );
    for (const entry of versions) {
      expect(await get(pathOf(agent, `/k?version=${entry.version}`))).toEqual(entry);
    }
    expect(await get(pathOf(agent, `/k?at=${one}`))).toEqual(versions[0]);
    expect(await get(pathOf(agent, `/k?at=${two}`))).toEqual(versions[2]);
    expect(await codeOf("GET", pathOf(agent, "/k?at=0"))).toBe("404 state_key_not_found");
    const { json } = await server.call("GET", pathOf(agent, `/k?at=${three}`));
    expect(json).toMatchObject({ error: "state_key_not_found", deleted: true, version: 4, commit_ts: three });
    for (const { committed_at: time } of await replay(pathOf(agent, "/replay"))) {
      const by = (await replay(pathOf(agent, "/replay"))).filter(
        ({ committed_at }) => committed_at <= time,
      ).length;
      const expected = [versions[0], versions[2], undefined, versions[4]][by - 1];
      const { status, json: found } = await server.call("GET", pathOf(agent, `/k?at=${time}`));
      if (expected === undefined) expect(status).toBe(404);
      else expect(found).toEqual(expected);
    }
    expect(await get(pathOf(agent, "/k?at=2100-01-01T00:00:00Z"))).toEqual(versions[4]);
    expect(await codeOf("GET", pathOf(agent, "/k?at=2000-01-01T00:00:00Z"))).toBe("404 state_key_not_found");
  });

  it.each([
    ...["-1", "1.5", "yesterday", "", "99999999", "9".repeat(30)],
    ...["2030-13-01T00:00:00Z", "2030-02-30T00:00:00Z", "2030-01-31T12:00:00", "2030-01-31T24:00:00Z"],
  ])("refuses a point that never was or is none: %s", async (point) => {
    for (const path of ["?at=", "/k?at=", "/k?version=1&at=", "/diff?from=", "/diff?to="]) {
      expect(await codeOf("GET", pathOf("a", path + point))).toBe("400 invalid_cursor");
    }
  });

  it("lists what exists in the order of the keys' bytes, in pages that stand at one commit", async () => {
    const agent = newAgent();
    const keys = [
      "memory:episodic:001",
      "memory:episodic:002",
      "memory/semantic",
      "é",
      "z",
      "😀",
      "a b",
      "%2F",
    ];
    const at = await commit(agent, ...keys.map((key) => ({ key, value: { key } })), {
      key: "gone",
      value: {},
    });
    await commit(agent, { key: "gone", delete: true });
    const sorted = keys.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    for (const limit of [1, 3, 100]) {
      const read: Entry[] = [];
      for (let cursor = ""; ;) {
        const query = `?limit=${limit}${cursor === "" ? "" : `&cursor=${cursor}`}`;
        const page = await get<{ state: Entry[]; next_cursor: string | null; commit_ts: number }>(
          pathOf(agent, query),
        );
        read.push(...page.state);
        if (page.next_cursor === null) break;
        cursor = page.next_cursor;
        await commit(agent, { key: `later-${limit}`, value: {} });
        await commit(agent, { key: `later-${limit}`, delete: true });
      }
      expect(read.map(({ key }) => key)).toEqual(sorted);
      expect(read.map(({ value }) => value)).toEqual(sorted.map((key) => ({ key })));
    }
    const names = await get<{ state: Entry[] }>(pathOf(agent, `?prefix=memory:&keys_only=true&at=${at}`));
    expect(names.state).toEqual(
      ["memory:episodic:001", "memory:episodic:002"].map((key) => ({
        key,
        version: 1,
        commit_ts: at,
        deleted: false,
      })),
    );
    expect((await get<{ state: Entry[] }>(pathOf(agent, `?prefix=g&at=${at}`))).state).toHaveLength(1);
    expect((await get<{ state: Entry[] }>(pathOf(agent, "?prefix=g"))).state).toEqual([]);
  });

  it("reads keys that a path cannot carry by ?key=", async () => {
    const agent = newAgent();
    for (const key of ["diff", "replay", "tail", ".", "..", "history", "a/b"]) {
      await commit(agent, { key, value: { key } });
      expect(await get(pathOf(agent, `?key=${encodeURIComponent(key)}`))).toMatchObject({
        key,
        value: { key },
      });
      expect(await get(pathOf(agent, `?key=${encodeURIComponent(key)}&version=1`))).toMatchObject({
        version: 1,
      });
    }
    expect(await codeOf("GET", pathOf(agent, "?key="))).toBe("400 invalid_state");
    expect(await codeOf("GET", pathOf(agent, "?key=none"))).toBe("404 state_key_not_found");
  });

  it("keeps agents and namespaces apart, whatever they are called", async () => {
    const agent = newAgent();
    await commit(agent, { key: "b:c", value: {} }, { key: "bc", agent_id: `${agent}:`, value: {} });
    await commit(agent, { namespace: `default/${agent}`, agent_id: "x", key: "k", value: {} });
    expect((await get<{ state: Entry[] }>(pathOf(agent))).state.map(({ key }) => key)).toEqual(["b:c"]);
    expect((await get<{ state: Entry[] }>(pathOf(`${agent}:`))).state.map(({ key }) => key)).toEqual(["bc"]);
    expect((await get<{ state: Entry[] }>("/v1/state/default/nobody")).state).toEqual([]);
  });

  it("tells what changed between two points", async () => {
    const agent = newAgent();
    const from = await commit(
      agent,
      { key: "kept", value: {} },
      { key: "gone", value: {} },
      { key: "k", value: { n: 1 } },
    );
    const to = await commit(
      agent,
      { key: "gone", delete: true },
      { key: "k", value: { n: 2 } },
      { key: "new", value: {} },
    );
    const forth = await get<Record<string, unknown>>(pathOf(agent, `/diff?from=${from}&to=${to}`));
    expect(forth).toMatchObject({
      added: [{ key: "new", version: 1 }],
      changed: [{ key: "k", before: { value: { n: 1 } }, after: { value: { n: 2 } } }],
      removed: [{ key: "gone", version: 1 }],
    });
    const back = await get<Record<string, unknown>>(pathOf(agent, `/diff?from=${to}&to=${from}`));
    expect(back).toMatchObject({ added: [{ key: "gone" }], removed: [{ key: "new" }] });
    expect(await get(pathOf(agent, `/diff?from=${from}&prefix=n`))).toMatchObject({
      ...{ added: [{ key: "new" }], changed: [], removed: [] },
    });
    expect(await get("/v1/state/default/nobody/diff")).toEqual({ added: [], changed: [], removed: [] });
  });

  it("replays an agent's transactions between bounds that are both included", async () => {
    const [agent, other] = [newAgent(), newAgent()];
    const stamps: number[] = [];
    for (let index = 0; index < 5; index++) {
      stamps.push(
        await commit(agent, { key: "k", value: { index } }, { agent_id: other, key: "k", value: {} }),
      );
      await commit(other, { key: "k", value: {} });
    }
    const lines = await replay(pathOf(agent, "/replay"));
    expect(lines.map(({ commit_ts }) => commit_ts)).toEqual(stamps);
    expect(lines.map(({ operations }) => operations)).toEqual(
      stamps.map((_stamp, index) => [{ key: "k", version: index + 1, deleted: false, value: { index } }]),
    );
    expect(lines[0]).toMatchObject({ actor: "service:default" });
    const between = async (query: string): Promise<number[]> =>
      (await replay(pathOf(agent, `/replay?${query}`))).map(({ commit_ts }) => commit_ts);
    expect(await between(`start_ts=${stamps[1] ?? 0}&end_ts=${stamps[3] ?? 0}`)).toEqual(stamps.slice(1, 4));
    expect(await between(`start_ts=${(stamps[1] ?? 0) + 1}`)).toEqual(stamps.slice(2));
    expect(await between("end_ts=0")).toEqual([]);
    expect(await between("start_ts=0&limit=2")).toEqual(stamps.slice(0, 2));
    expect(await between(`start_ts=${(stamps[4] ?? 0) + 1}`)).toEqual([]);
    for (const bad of ["start_ts=-1", "end_ts=x", "start_ts=1&start_ts=2"]) {
      expect(await codeOf("GET", pathOf(agent, `/replay?${bad}`))).toBe("400 invalid_request");
    }
    expect(await codeOf("GET", pathOf(agent, "/replay?limit=0"))).toBe("400 invalid_limit");
  });

  it("is followed from a commit on, without a gap, over a broken connection too", async () => {
    const agent = newAgent();
    const stamps = [
      await commit(agent, { key: "k", value: { a: "\n" } }),
      await commit(agent, { key: "k", delete: true }),
    ];
    let last: string | undefined;
    {
      using stream = await EventStream.open(`${server.url}${pathOf(agent, "/tail")}`);
      await stream.received(2);
      stamps.push(await commit(agent, { key: "l", value: {} }));
      await commit(newAgent(), { key: "l", value: {} });
      await stream.received(3);
      last = stream.messages.at(-1)?.id;
    }
    stamps.push(await commit(agent, { key: "m", value: {} }));
    using stream = await EventStream.open(`${server.url}${pathOf(agent, "/tail")}`, {
      "last-event-id": last ?? "",
    });
    await stream.received(1);
    stamps.push(await commit(agent, { key: "n", value: {} }));
    await eventually("the newest commit", () => stream.messages.length === 2);
    expect(stream.messages.map(({ id }) => Number(id))).toEqual(stamps.slice(3));
    expect(stream.messages.map(({ data }) => (JSON.parse(data) as Line).operations[0]?.key)).toEqual([
      "m",
      "n",
    ]);
    expect(await codeOf("GET", pathOf(agent, "/tail?cursor=9999999"))).toBe("400 invalid_cursor");
  });

  it("is followed from before there was any, by a tenant that never wrote", async () => {
    await using fresh = await startServer({ store: "memory" });
    using stream = await EventStream.open(`${fresh.url}/v1/state/default/a/tail`);
    const operations = [{ agent_id: "a", key: "k", value: {} }];
    await fresh.call("POST", "/v1/state/transactions", { operations });
    await stream.received(1);
    expect(stream.messages[0]?.id).toBe("1");
    expect((await fresh.call("GET", "/v1/sessions?archived=all")).json).toMatchObject({ sessions: [] });
    expect((await fresh.call("GET", "/v1/lifecycle")).json).toMatchObject({ events: [] });
  });

  it("reads as empty before the first commit", async () => {
    await using fresh = await startServer({ store: "memory" });
    const answers = await Promise.all(
      ["", "/k/history", "/diff", "/replay", "?at=0"].map((rest) =>
        fresh.call("GET", `/v1/state/default/a${rest}`),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect((await fresh.call("GET", "/v1/state/default/a/k")).json).toMatchObject({
      error: "state_key_not_found",
    });
    expect((await fresh.call("GET", "/v1/state/default/a?at=1")).json).toMatchObject({
      error: "invalid_cursor",
    });
  });
});

describe("the log behind agents' state", () => {
  it("cannot be named as a session", async () => {
    await commit(newAgent(), { key: "k", value: {} });
    for (const id of ["%2Fagent-state", "%2fagent-state"]) {
      for (const rest of ["", "/events", "/state", "/tail"]) {
        expect(await codeOf("GET", `/v1/sessions/${id}${rest}`)).toMatch(/^400 invalid_/);
      }
      expect(await codeOf("DELETE", `/v1/sessions/${id}`)).toBe("400 invalid_session_id");
      expect(await codeOf("POST", `/v1/sessions/${id}/append`, {})).toMatch(/^400 /);
    }
    expect(await codeOf("POST", "/v1/sessions", { id: "/agent-state" })).toBe("400 invalid_session_id");
  });
});
