import { rm } from "node:fs/promises";
import { join } from "node:path";
import { newDataDir, Random, startServer, type TestServer } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";

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
    expect((await server.call("GET", "/v1/sessions/s/state?at=2100-01-01T00:00:00Z")).json).toMatchObject({
      at_seq: 12,
    });
  });

  it("refuses points that never were, and bad ones", async () => {
    await using server = await startServer();
    await server.call("POST", "/v1/sessions", { id: "s" });
    for (const at of ["1", "-1", "1.5", "yesterday", "2030-13-01T00:00:00Z", ""]) {
      expect((await server.call("GET", `/v1/sessions/s/state?at=${at}`)).json).toMatchObject({
        error: "invalid_cursor",
      });
    }
    expect((await server.call("GET", "/v1/sessions/s/state?cursor=zzz")).json).toMatchObject({
      error: "invalid_cursor",
    });
    expect((await server.call("GET", "/v1/sessions/none/state")).json).toMatchObject({
      error: "session_not_found",
    });
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
