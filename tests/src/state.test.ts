import { rm } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS } from "@daybook/protocol";
import { eventBody, newDataDir, Random, startServer, type TestServer } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import { EventStream } from "./support/event-stream.js";
import { openTail } from "./support/tail-socket.js";

interface Entry {
  readonly key: string;
  readonly version: number;
  readonly seq: number;
  readonly deleted: boolean;
  readonly value?: unknown;
}

type Snapshot = Map<string, Entry>;

const KEYS = ["plan", "memory:episodic:001", "memory/semantic/002", "sp ace", "größe", "a"];

/** Appends random state changes; answers what the state was after each seq. */
async function play(server: TestServer, seed: number, steps: number): Promise<Snapshot[]> {
  const random = new Random(seed);
  const snapshots: Snapshot[] = [new Map<string, Entry>()];
  const versions = new Map<string, number>();
  for (let seq = 1; seq <= steps; seq++) {
    const snapshot = new Map(snapshots[seq - 1]);
    const set: Record<string, unknown> = {};
    const gone: string[] = [];
    for (const key of KEYS.filter(() => random.chance(0.3))) {
      const version = (versions.get(key) ?? 0) + 1;
      versions.set(key, version);
      const deletes = random.chance(0.25);
      const value = { step: seq, of: key };
      if (deletes) gone.push(key);
      else set[key] = value;
      snapshot.set(key, { key, version, seq, deleted: deletes, ...(!deletes && { value }) });
    }
    const event = {
      type: "step",
      payload: {},
      producer_id: "p",
      producer_seq: seq,
      state: { set, delete: gone },
    };
    expect((await server.call("POST", "/v1/sessions/s/append", event)).status).toBe(201);
    snapshots.push(snapshot);
  }
  return snapshots;
}

const living = (snapshot: Snapshot): Entry[] =>
  [...snapshot.values()]
    .filter(({ deleted }) => !deleted)
    .sort((one, other) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)));

async function readAt(server: TestServer, at: number, limit = 100): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let cursor = ""; ;) {
    const query = cursor === "" ? `at=${at}` : `cursor=${cursor}`;
    const { json } = await server.call("GET", `/v1/sessions/s/state?${query}&limit=${limit}`);
    const page = json as unknown as { state: Entry[]; next_cursor: string | null; at_seq: number };
    expect(page.at_seq).toBe(at);
    entries.push(...page.state);
    if (page.next_cursor === null) return entries;
    cursor = page.next_cursor;
  }
}

/** Neither a seq of an empty session nor a time with its place on earth. */
const NO_POINTS = [
  ...["1", "-1", "1.5", "01", "1e0", "99999999999999999999", "", "yesterday", "2030-01-31"],
  ...["2030-13-01T00:00:00Z", "2030-02-30T00:00:00Z", "2030-01-31T24:00:00Z", "2030-01-31T12:60:00Z"],
  ...["2030-01-31T12:00:00", "2030-01-31T12:00Z", "2030-01-31T12:00:00+02:00", "2030-01-31T12:00:00%2B25:00"],
];

describe("the state of a session", () => {
  it("is at every seq what the events up to it made of it, in pages of any size, and the same when views are rebuilt", async () => {
    const dataDir = await newDataDir();
    let server = await startServer({ dataDir });
    await server.call("POST", "/v1/sessions", { id: "s" });
    const snapshots = await play(server, 7, 40);
    const check = async (): Promise<void> => {
      for (const [seq, snapshot] of snapshots.entries()) {
        expect(await readAt(server, seq)).toEqual(living(snapshot));
        expect(await readAt(server, seq, 2)).toEqual(living(snapshot));
      }
    };
    await check();
    await server.close();
    await rm(join(dataDir, "views"), { recursive: true });
    server = await startServer({ dataDir });
    await check();
    await server.close();
    await rm(dataDir, { recursive: true });
  });

  it("answers one key at a seq and by version, and its history with tombstones", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    const snapshots = await play(server, 3, 30);
    for (const key of KEYS) {
      const path = `/v1/sessions/s/state/${encodeURIComponent(key)}`;
      const history = ((await server.call("GET", `${path}/history`)).json as unknown as { versions: Entry[] })
        .versions;
      expect(history.map(({ version }) => version)).toEqual(history.map((_one, index) => index + 1));
      for (const [seq, snapshot] of snapshots.entries()) {
        const expected = snapshot.get(key);
        const { status, json } = await server.call("GET", `${path}?at=${seq}`);
        if (expected === undefined || expected.deleted) expect(status).toBe(404);
        else expect(json).toEqual(expected);
      }
      for (const entry of history) {
        expect((await server.call("GET", `${path}?version=${entry.version}`)).json).toEqual(entry);
      }
      expect((await server.call("GET", `${path}?version=${history.length + 1}`)).json).toMatchObject({
        error: "state_key_not_found",
      });
    }
  });

  it("tells what changed between two points", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    const snapshots = await play(server, 11, 20);
    for (const [from, to] of [
      [0, 20],
      [5, 15],
      [15, 5],
      [9, 9],
    ] as const) {
      const [before, after] = [snapshots[from], snapshots[to]].map(
        (one) => new Map(living(one ?? new Map<string, Entry>()).map((entry) => [entry.key, entry])),
      );
      const { json } = await server.call("GET", `/v1/sessions/s/state-diff?from=${from}&to=${to}`);
      const diff = json as unknown as {
        added: Entry[];
        changed: { key: string; before: Entry; after: Entry }[];
        removed: Entry[];
      };
      expect(diff.added.map(({ key }) => key).sort()).toEqual(
        [...(after?.keys() ?? [])].filter((key) => before?.has(key) !== true).sort(),
      );
      expect(diff.removed.map(({ key }) => key).sort()).toEqual(
        [...(before?.keys() ?? [])].filter((key) => after?.has(key) !== true).sort(),
      );
      for (const one of diff.changed) {
        expect(one.before).toEqual(before?.get(one.key));
        expect(one.after).toEqual(after?.get(one.key));
        expect(one.before.version).not.toBe(one.after.version);
      }
    }
  });

  it("takes a time for a point: everything inserted by then", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    await play(server, 5, 12);
    const { events } = (await server.call("GET", "/v1/sessions/s/events")).json as unknown as {
      events: { seq: number; inserted_at: string }[];
    };
    for (const { inserted_at: at } of events) {
      const last = events.filter((event) => event.inserted_at <= at).at(-1)?.seq;
      expect((await server.call("GET", `/v1/sessions/s/state?at=${at}`)).json).toMatchObject({
        at_seq: last,
      });
    }
    expect((await server.call("GET", "/v1/sessions/s/state?at=2000-01-01T00:00:00Z")).json).toMatchObject({
      at_seq: 0,
      state: [],
    });
    // RFC 3339 has small letters, fractions and offsets too.
    for (const later of ["00:00:00Z", "00:00:00.123456789z", "02:00:00%2B02:00", "00:00:00-23:59"]) {
      const at = `2100-01-01${later.endsWith("z") ? "t" : "T"}${later}`;
      expect((await server.call("GET", `/v1/sessions/s/state?at=${at}`)).json).toMatchObject({ at_seq: 12 });
    }
  });

  it("refuses points that never were, and bad ones", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    for (const point of NO_POINTS) {
      for (const path of [
        "state?at=",
        "state/k?at=",
        "state?key=k&at=",
        "state-diff?from=",
        "state-diff?to=",
      ]) {
        const { status, json } = await server.call("GET", `/v1/sessions/s/${path}${point}`);
        expect([point, status, json.error]).toEqual([point, 400, "invalid_cursor"]);
      }
    }
    expect((await server.call("GET", "/v1/sessions/s/state?at=1")).json).toMatchObject({ last_seq: 0 });
    expect((await server.call("GET", "/v1/sessions/s/state?cursor=zzz")).json).toMatchObject({
      error: "invalid_cursor",
    });
    expect((await server.call("GET", "/v1/sessions/none/state")).json).toMatchObject({
      error: "session_not_found",
    });
  });

  it("refuses keys, versions, prefixes and pages that cannot be", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    await server.append("s", eventBody(1, { state: { set: { k: 1 } } }));
    await server.append("s", eventBody(2, { state: { set: { k: 2 } } }));
    const long = "k".repeat(LIMITS.stateKeyBytesMax);
    const codeOf = async (path: string): Promise<string> => {
      const { status, json } = await server.call("GET", `/v1/sessions/s/${path}`);
      return status === 200 ? "ok" : `${status} ${json.error}`;
    };
    for (const [path, code] of [
      [`state?key=${long}`, "404 state_key_not_found"],
      [`state?key=${long}x`, "400 invalid_request"],
      [`state?key=${long.repeat(5)}`, "400 invalid_request"],
      [`state/${long}`, "404 state_key_not_found"],
      [`state/${long}x`, "400 invalid_request"],
      [`state/${long}/history`, "ok"],
      [`state/${long.repeat(5)}/history`, "400 invalid_request"],
      ["state?key=", "400 invalid_request"],
      ["state/", "400 invalid_request"],
      ["state?key=a%00", "400 invalid_request"],
      ["state/a%0A", "400 invalid_request"],
      [`state?prefix=${long}`, "ok"],
      [`state?prefix=${long}x`, "400 invalid_request"],
      ["state-diff?prefix=%1F", "400 invalid_request"],
      ["state?limit=1", "ok"],
      ["state?limit=0", "400 invalid_limit"],
      ["state?limit=1000", "ok"],
      ["state?limit=1001", "400 invalid_limit"],
      ["state?limit=1&limit=1", "400 invalid_limit"],
      ["state/k/history?limit=0", "400 invalid_limit"],
      ["state/k/history?limit=1001", "400 invalid_limit"],
      ["state/k/history?cursor=-1", "400 invalid_cursor"],
      ["state/k?version=0", "400 invalid_request"],
      ["state/k?version=x", "400 invalid_request"],
      ["state/k?version=3", "404 state_key_not_found"],
      ["state/k?version=9007199254740991", "404 state_key_not_found"],
      ["state/k?version=9007199254740992", "400 invalid_request"],
      // This version was made later.
      ["state/k?version=2&at=1", "404 state_key_not_found"],
      ["state/k?version=1&at=2", "ok"],
    ] as const) {
      expect([path.slice(0, 60), await codeOf(path)]).toEqual([path.slice(0, 60), code]);
    }
  });

  it("reads by ?key= what a path cannot carry", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    const keys = [".", "..", "history", "a/b", "%2F", "é😀"];
    const set = Object.fromEntries(keys.map((key) => [key, key]));
    await server.append("s", eventBody(1, { state: { set } }));
    for (const key of keys) {
      const { json } = await server.call("GET", `/v1/sessions/s/state?key=${encodeURIComponent(key)}&at=1`);
      expect(json).toEqual({ key, version: 1, seq: 1, deleted: false, value: key });
    }
  });

  it("comes with the event that changed it: in reads, on every tail, and in no other form than it was sent", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    const state = '{ "set": {"b":1.0,"a":[null]},"delete":["c"], "if":{"a":0} }';
    using tail = await openTail(server.url, "s");
    using stream = await EventStream.open(`${server.url}/v1/sessions/s/tail`);
    await server.append("s", `{"type":"t","payload":{},"producer_id":"p","producer_seq":1,"state":${state}}`);
    await server.append("s", eventBody(2));
    await tail.reached(2);
    await stream.received(2);
    const { text } = await server.call("GET", "/v1/sessions/s/events");
    for (const shown of [text, stream.messages[0]?.data, tail.frames[0]])
      expect(shown).toContain(`"state":${state}`);
    expect(tail.events[1]).not.toHaveProperty("state");
  });

  it("is written with its event or not at all, alone and in a list", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    await server.append("s", eventBody(1, { state: { set: { k: 1 }, if: { k: 0 } } }));
    const conflict = { error: "state_conflict", key: "k", current_version: 1, current_seq: 1 };
    for (const version of [0, 2]) {
      const change = { set: { other: 1 }, delete: ["k"], if: { other: 0, k: version } };
      const { status, json } = await server.append("s", eventBody(2, { state: change }));
      expect(status).toBe(409);
      expect(json).toMatchObject(conflict);
    }
    const list = [
      eventBody(2, { state: { set: { other: 1 } } }),
      eventBody(3, { state: { set: { k: 2 }, if: { k: 2 } } }),
    ];
    const { status, json } = await server.append("s", { events: list });
    expect(status).toBe(409);
    expect(json).toMatchObject({ ...conflict, index: 1 });
    // In a list an event's conditions are compared with what those before it did.
    const good = [
      eventBody(2, { state: { delete: ["k"], if: { k: 1 } } }),
      eventBody(3, { state: { set: { k: 2 }, if: { k: 0 } } }),
    ];
    expect((await server.append("s", { events: good })).status).toBe(201);
    expect((await server.call("GET", "/v1/sessions/s/state")).json).toMatchObject({
      at_seq: 3,
      state: [{ key: "k", version: 3, seq: 3, value: 2 }],
    });
  });

  it("loses no increment of 50 writers that all change one key with `if`", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    const writer = async (name: string): Promise<void> => {
      for (let status = 0; status !== 201;) {
        const { json } = await server.call("GET", "/v1/sessions/s/state/counter");
        const { version = 0, value = 0 } = json as unknown as { version?: number; value?: number };
        const state = { set: { counter: value + 1 }, if: { counter: version } };
        ({ status } = await server.append("s", eventBody(1, { producer_id: name, state })));
      }
    };
    await Promise.all(Array.from({ length: 50 }, (_, index) => writer(`writer-${index}`)));
    const { json } = await server.call("GET", "/v1/sessions/s/state/counter");
    expect(json).toMatchObject({ version: 50, seq: 50, value: 50 });
    const { versions } = (await server.call("GET", "/v1/sessions/s/state/counter/history"))
      .json as unknown as { versions: Entry[] };
    expect(versions.map(({ value }) => value)).toEqual(versions.map(({ seq }) => seq));
  });

  it("keeps the exact text of values, and lists by prefix", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    const body = `{"type":"t","payload":{},"producer_id":"p","producer_seq":1,"state":{"set":{"a/1":12345678901234567890,"a/2":{"z":1.0, "a":"\\u00e9"},"b":null}}}`;
    const answer = await fetch(`${server.url}/v1/sessions/s/append`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    expect(answer.status).toBe(201);
    const { text } = await server.call("GET", "/v1/sessions/s/state?prefix=a/");
    expect(text).toContain('"value":12345678901234567890');
    expect(text).toContain('"value":{"z":1.0, "a":"\\u00e9"}');
    expect(text).not.toContain('"key":"b"');
    expect((await server.call("GET", "/v1/sessions/s/state/b")).json).toMatchObject({ value: null });
  });
});
