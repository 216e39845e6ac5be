import { Daybook, type DaybookOptions, type FetchLike, type Session } from "@daybook/client";
import { revokeApiKey } from "@daybook/server";
import { eventually, within } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { ALL_SCOPES, AuthServer, newId } from "./support/auth-server.js";

let auth: AuthServer;
let apiKey: string;
let daybook: Daybook;
const client = (more: Partial<DaybookOptions> = {}): Daybook =>
  new Daybook({ baseUrl: auth.url, apiKey, WebSocket, ...more });
beforeAll(async () => {
  auth = await AuthServer.start();
  apiKey = (await auth.key({ scopes: ALL_SCOPES })).key;
  daybook = client();
});
afterAll(async () => {
  await daybook.close();
  await auth[Symbol.asyncDispose]();
});

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const got: Item[] = [];
  for await (const item of items) got.push(item);
  return got;
}
const newSession = (): Promise<Session> => daybook.session({ identity: daybook.agent({ id: "planner" }) });
const memoryOf = (from = daybook) => from.agentState("default", `team/agent ${newId()}`);

describe("session.state", () => {
  test("a change commits with its event, and is read as of any seq or time", async () => {
    const session = await newSession();
    const { seq } = await session.append({ text: "a", state: { set: { step: 1, "a/b": [null] } } });
    const [first] = await session.range(seq, seq);
    await session.append({ text: "b", state: { set: { step: { n: 2 } }, delete: ["a/b"] } });
    expect(await session.state.get("step")).toEqual({
      key: "step",
      version: 2,
      seq: 2,
      deleted: false,
      value: { n: 2 },
    });
    expect(await session.state.get("a/b")).toBeUndefined();
    expect(await session.state.get("a/b", { version: 2 })).toMatchObject({ deleted: true, seq: 2 });
    expect((await session.state.at(1).get("a/b"))?.value).toEqual([null]);
    const before = new Date(Date.parse(first!.inserted_at) - 1_000);
    expect(await session.state.at(before).get("step")).toBeUndefined();
    expect(await all(session.state.at(1).list({ prefix: "a/" }))).toMatchObject([{ key: "a/b", seq: 1 }]);
    expect((await all(session.state.list())).map(({ key }) => key)).toEqual(["step"]);
    expect((await all(session.state.history("a/b"))).map(({ deleted }) => deleted)).toEqual([false, true]);
    expect(await session.state.diff({ from: 1 })).toMatchObject({
      added: [],
      changed: [{ key: "step", before: { value: 1 }, after: { value: { n: 2 } } }],
      removed: [{ key: "a/b", value: [null] }],
    });
    await expect(session.state.get("step", { at: 3 })).rejects.toMatchObject({ code: "invalid_cursor" });
  });

  test("keys that no path can carry are read all the same", async () => {
    const session = await newSession();
    const keys = [".", "..", "a?b=c&d", "#", "%2F", "é/😀", "k".repeat(1_024)];
    const set = Object.fromEntries(keys.map((key) => [key, key]));
    await session.append({ text: "odd", state: { set } });
    await session.append({ text: "again", state: { set } });
    for (const key of keys) {
      expect(await session.state.get(key)).toMatchObject({ key, value: key, version: 2 });
      expect((await all(session.state.history(key))).map(({ version }) => version)).toEqual([1, 2]);
    }
  });

  test("a list goes through all pages and shows one point, whatever is written meanwhile", async () => {
    const session = await newSession();
    const set = Object.fromEntries(Array.from({ length: 2_500 }, (_, n) => [`k${n}`, n]));
    await session.append({ text: "many", state: { set } });
    const seen: unknown[] = [];
    for await (const { value } of session.state.list()) {
      if (seen.length === 0)
        await session.append({ text: "x", state: { set: { k9: "new" }, delete: ["k99"] } });
      seen.push(value);
    }
    expect(seen).toHaveLength(2_500);
    expect(seen).not.toContain("new");
  });

  test("a history has all pages", async () => {
    const session = await newSession();
    const inputs = Array.from({ length: 1_000 }, (_, n) => ({ text: "x", state: { set: { n } } }));
    await session.appendAll(inputs);
    await session.appendAll(inputs.slice(0, 500));
    const versions = (await all(session.state.history("n"))).map(({ version }) => version);
    expect(versions).toEqual(Array.from({ length: 1_500 }, (_, n) => n + 1));
  });

  test("a history of values so large that pages end early is whole too", async () => {
    const session = await newSession();
    const text = "x".repeat(900_000);
    for (let n = 1; n <= 12; n++) await session.append({ text: "x", state: { set: { k: { n, text } } } });
    const versions: unknown[] = [];
    for await (const { value } of session.state.history("k")) versions.push((value as { n: number }).n);
    expect(versions).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test("an unmet condition refuses that append and no other", async () => {
    const session = await newSession();
    await session.append({ text: "a", state: { set: { lock: "a" }, if: { lock: 0 } } });
    await expect(
      session.append({ text: "b", state: { set: { lock: "b" }, if: { lock: 0 } } }),
    ).rejects.toMatchObject({ code: "state_conflict", details: { key: "lock", current_version: 1 } });
    expect(await session.append({ text: "c" })).toMatchObject({ seq: 2 });
  });
});

describe("session.fork", () => {
  test("shares events and state up to a seq, as the same identity, and then goes its own way", async () => {
    const session = await newSession();
    await session.append({ text: "1", state: { set: { n: 1 } } });
    await session.append({ text: "2", state: { set: { n: 2 } } });
    const fork = await session.fork({ atSeq: 1, title: "What if?" });
    expect(fork.record).toMatchObject({
      title: "What if?",
      forked_from: { session_id: session.id, seq: 1 },
    });
    expect(await fork.append({ text: "other", state: { set: { n: "other" } } })).toMatchObject({ seq: 2 });
    expect((await fork.range(1, 2)).map(({ payload }) => payload["text"])).toEqual(["1", "other"]);
    expect((await fork.state.get("n"))?.value).toBe("other");
    expect((await session.state.get("n"))?.value).toBe(2);
    expect((await fork.range(2, 2))[0]?.actor).toBe("agent:planner");
    expect(await all(daybook.sessions.list({ forkedFrom: session.id }))).toMatchObject([{ id: fork.id }]);
    await expect(session.fork({ atSeq: 3 })).rejects.toMatchObject({ code: "invalid_cursor" });
    await expect(session.fork({ id: fork.id })).rejects.toMatchObject({ code: "session_exists" });
    await expect(daybook.sessions.delete(session.id)).rejects.toMatchObject({
      code: "session_has_forks",
      details: { forks: 1 },
    });
    await daybook.sessions.delete(session.id, { cascade: true });
    await expect(daybook.sessions.get(fork.id)).rejects.toMatchObject({ code: "session_not_found" });
  });

  test("sent twice because the answer was lost it makes one fork", async () => {
    const losing = loseAnswers("/fork", 1);
    await using other = client({ fetch: losing.fetch });
    const session = await other.session({ identity: other.user({ id: "alice" }) });
    await session.append({ text: "1" });
    const fork = await session.fork();
    expect(losing.lost).toBe(1);
    expect(await all(other.sessions.list({ forkedFrom: session.id }))).toMatchObject([{ id: fork.id }]);
  });
});

describe("agentState", () => {
  test("a transaction commits when its function returns, and what it wrote is read at any point", async () => {
    const memory = memoryOf();
    expect(await memory.get("plan")).toBeUndefined();
    const first = await memory.transaction(async (tx) => {
      expect(await tx.get("plan")).toBeUndefined();
      tx.set("plan", { step: 1 });
      tx.set("notes/1", {});
      expect(await tx.get("plan")).toEqual({ step: 1 });
      return "done";
    });
    expect(first).toMatchObject({ result: "done", txnId: expect.stringMatching(/^txn_/) as string });
    const second = await memory.transaction((tx) => {
      tx.set("plan", { step: 2 });
      tx.delete("notes/1");
    });
    expect(second.commitTs).toBeGreaterThan(first.commitTs);
    expect(await memory.lastCommit()).toBe(second.commitTs);
    expect(await memory.get("plan")).toEqual({
      key: "plan",
      version: 2,
      commit_ts: second.commitTs,
      deleted: false,
      value: { step: 2 },
    });
    expect((await memory.getAt("plan", first.commitTs))?.value).toEqual({ step: 1 });
    expect((await memory.get("plan", { version: 1 }))?.value).toEqual({ step: 1 });
    expect(await memory.getAt("plan", new Date(0))).toBeUndefined();
    expect(await all(memory.keys())).toEqual(["plan"]);
    expect(await all(memory.keys({ prefix: "n", at: first.commitTs }))).toEqual(["notes/1"]);
    expect(await all(memory.scan({ at: first.commitTs }))).toMatchObject([
      { key: "notes/1", value: {} },
      { key: "plan", value: { step: 1 } },
    ]);
    expect((await all(memory.history("notes/1"))).map(({ deleted }) => deleted)).toEqual([false, true]);
    expect(await memory.diff({ from: first.commitTs })).toMatchObject({
      changed: [{ key: "plan", after: { value: { step: 2 } } }],
      removed: [{ key: "notes/1" }],
    });
  });

  test("nothing is committed when the function throws, and its tx takes nothing afterwards", async () => {
    const memory = memoryOf();
    let late: (() => void) | undefined;
    const why = new Error("changed my mind");
    const thrown = await memory
      .transaction((tx) => {
        tx.set("a", {});
        late = () => tx.set("b", {});
        throw why;
      })
      .catch((error: unknown) => error);
    expect(thrown).toBe(why);
    expect(late).toThrow(expect.objectContaining({ code: "transaction_ended" }) as Error);
    expect(await all(memory.keys())).toEqual([]);
  });

  test("a value is committed as it was when it was set, under odd keys too", async () => {
    const memory = memoryOf();
    const value = { n: 1 };
    const keys = [".", "..", "diff", "tail", "replay", "a/history", "é?#"];
    await memory.transaction((tx) => {
      for (const key of keys) tx.set(key, value);
      value.n = 2;
    });
    for (const key of keys) {
      expect((await memory.get(key))?.value).toEqual({ n: 1 });
      expect(await all(memory.history(key))).toMatchObject([{ key, version: 1 }]);
    }
  });

  test("what was read and written by others meanwhile is a conflict, and is run again when asked", async () => {
    const memory = memoryOf();
    await memory.transaction((tx) => tx.set("n", { n: 0 }));
    let runs = 0;
    const increment = (retries: number) =>
      memory.transaction(
        async (tx) => {
          const { n } = (await tx.get<{ n: number }>("n")) ?? { n: 0 };
          if (++runs === 1) await memory.transaction((other) => other.set("n", { n: 10 }));
          tx.set("n", { n: n + 1 });
        },
        { retries },
      );
    await expect(increment(0)).rejects.toMatchObject({
      code: "state_conflict",
      details: { key: "n", current_version: 2 },
    });
    runs = 0;
    await increment(1);
    expect((await memory.get("n"))?.value).toEqual({ n: 11 });
  });

  test("writers that meet lose nothing", async () => {
    const memory = memoryOf();
    const increment = () =>
      memory.transaction(
        async (tx) => {
          const n = (await tx.get<{ n: number }>("n"))?.n ?? 0;
          tx.set("n", { n: n + 1 });
        },
        { retries: 1_000 },
      );
    await Promise.all(Array.from({ length: 20 }, increment));
    expect(await memory.get("n")).toMatchObject({ version: 20, value: { n: 20 } });
  });

  test("a condition may be given, and a record that is deleted does not exist", async () => {
    const memory = memoryOf();
    const create = () => memory.transaction((tx) => tx.set("lock", {}, { ifVersion: 0 }));
    await create();
    await expect(create()).rejects.toMatchObject({ code: "state_conflict" });
    await memory.transaction((tx) => tx.delete("lock", { ifVersion: 1 }));
    await create();
    await memory.transaction(async (tx) => {
      expect(await tx.get("lock")).toEqual({});
      tx.delete("lock");
      expect(await tx.get("lock")).toBeUndefined();
      tx.set("lock", { again: true });
    });
    expect(await memory.get("lock")).toMatchObject({ version: 5, value: { again: true } });
  });

  test("one transaction reaches many agents and namespaces", async () => {
    const memory = memoryOf();
    const other = daybook.agentState("other", newId());
    const { commitTs } = await memory.transaction(async (tx) => {
      const theirs = tx.of(other.namespace, other.agentId);
      expect(await theirs.get("k")).toBeUndefined();
      theirs.set("k", { of: "other" });
      tx.set("k", { of: "this" });
    });
    expect(await other.get("k")).toMatchObject({ commit_ts: commitTs, value: { of: "other" } });
    expect(await memory.get("k")).toMatchObject({ commit_ts: commitTs, value: { of: "this" } });
  });

  test("names that the server refuses are refused and never mean another agent, and no value is none to set", async () => {
    for (const name of [".", ".."]) {
      const refused = expect.objectContaining({ code: "invalid_state" }) as Error;
      expect(() => daybook.agentState("default", name)).toThrow(refused);
      expect(() => daybook.agentState(name, "a")).toThrow(refused);
    }
    for (const name of ["", "a\0", "x".repeat(257)]) {
      const memory = daybook.agentState("default", name);
      const calls = [
        () => memory.get("k"),
        () => all(memory.replay()),
        () => memory.transaction((tx) => tx.set("k", {})),
      ];
      for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "invalid_state" });
    }
    const memory = memoryOf();
    await memory.transaction((tx) => tx.set("kept", { n: 1 }));
    const nothing = memory.transaction((tx) => tx.set("kept", undefined as never));
    await expect(nothing).rejects.toThrow("value");
    expect((await memory.get("kept"))?.value).toEqual({ n: 1 });
    const tooMuch = memory.transaction((tx) => tx.set("k", { text: "x".repeat(1_100_000) }));
    await expect(tooMuch).rejects.toMatchObject({ status: 413 });
    expect(await memory.get("k")).toBeUndefined();
  });

  test("sent twice because the answer was lost it commits once", async () => {
    const losing = loseAnswers("/v1/state/transactions", 2);
    await using unlucky = client({ fetch: losing.fetch });
    const memory = memoryOf(unlucky);
    const { commitTs } = await memory.transaction((tx) => tx.set("k", {}));
    expect(losing.lost).toBe(2);
    expect(await memory.get("k")).toMatchObject({ version: 1, commit_ts: commitTs });
  });

  test("replay gives the transactions between two commits, and takes up again where it broke off", async () => {
    const commits = 300;
    const cutting = cutAnswers("/replay", 3);
    await using unlucky = client({ fetch: cutting.fetch });
    const memory = memoryOf(unlucky);
    const stamps: number[] = [];
    for (let n = 1; n <= commits; n++) {
      const { commitTs } = await memory.transaction((tx) => tx.set("n", { n, filler: "é".repeat(1_000) }));
      stamps.push(commitTs);
    }
    const lines = await all(memory.replay());
    expect(cutting.cut).toBe(3);
    expect(lines.map(({ commit_ts }) => commit_ts)).toEqual(stamps);
    expect(lines[6]).toMatchObject({
      actor: expect.stringMatching(/^service:/) as string,
      operations: [{ key: "n", version: 7, deleted: false, value: { n: 7 } }],
    });
    const some = await all(memory.replay({ startTs: stamps[9]!, endTs: stamps[19]! }));
    expect(some.map(({ commit_ts }) => commit_ts)).toEqual(stamps.slice(9, 20));
  });

  test("tail replays, then follows, over broken connections, until its signal", async () => {
    const cutting = cutAnswers("/tail", 2);
    await using unlucky = client({ fetch: cutting.fetch });
    const memory = memoryOf(unlucky);
    const write = (n: number) => memory.transaction((tx) => tx.set("n", { n, filler: "x".repeat(30_000) }));
    await write(1);
    const seen: unknown[] = [];
    const stop = new AbortController();
    const following = (async () => {
      for await (const { operations } of memory.tail({ signal: stop.signal }))
        seen.push(operations[0]?.value?.["n"]);
    })();
    for (let n = 2; n <= 8; n++) {
      await write(n);
      await eventually(`commit ${n} came`, () => seen.length === n);
    }
    stop.abort();
    await within("the tail ended", following);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(cutting.cut).toBe(2);
  });

  test("a tail that is waited for in vain ends with its signal; one that may not be read says why", async () => {
    const memory = memoryOf();
    const cursor = await memory.lastCommit();
    expect(await all(memory.tail({ cursor, signal: AbortSignal.timeout(50) }))).toEqual([]);
    await expect(all(memory.tail({ cursor: cursor + 1_000 }))).rejects.toMatchObject({
      code: "invalid_cursor",
    });
    await using stranger = client({ apiKey: (await auth.key({ scopes: ["session:read"] })).key });
    const theirs = stranger.agentState("default", memory.agentId);
    const readings = [() => all(theirs.tail()), () => all(theirs.replay()), () => theirs.get("k")];
    for (const read of readings)
      await expect(read()).rejects.toMatchObject({ code: "forbidden_scope", status: 403 });
  });

  test("a revoked key ends a tail with the reason", async () => {
    const { key, id } = await auth.key({ scopes: ALL_SCOPES });
    await using revoked = client({ apiKey: key });
    const memory = memoryOf(revoked);
    await memory.transaction((tx) => tx.set("k", {}));
    const tail = memory.tail();
    expect((await tail.next()).value).toMatchObject({ operations: [{ key: "k" }] });
    await revokeApiKey(auth.dataDir, id);
    await expect(within("the tail ended", tail.next())).rejects.toMatchObject({ code: "unauthorized" });
  });
});

/** Answers to calls of a path that never arrive, although the server did what was asked. */
function loseAnswers(path: string, count: number): { readonly fetch: FetchLike; lost: number } {
  const losing = {
    lost: 0,
    fetch: async (url: string, init: Parameters<FetchLike>[1]) => {
      const answer = await fetch(url, init);
      if (!url.endsWith(path) || losing.lost === count) return answer;
      await answer.text();
      losing.lost++;
      throw new TypeError("fetch failed");
    },
  };
  return losing;
}

/** Streams of a path that break off in the middle of what the server sends. */
function cutAnswers(path: string, count: number): { readonly fetch: FetchLike; cut: number } {
  const cutting = {
    cut: 0,
    fetch: async (url: string, init: Parameters<FetchLike>[1]) => {
      const answer = await fetch(url, init);
      if (!url.includes(path) || cutting.cut === count || answer.body === null) return answer;
      let left = 40_000;
      const cutter = new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, controller) => {
          controller.enqueue(chunk.subarray(0, left));
          left -= chunk.length;
          if (left > 0) return;
          cutting.cut++;
          controller.error(new TypeError("terminated"));
        },
      });
      return new Response(answer.body.pipeThrough(cutter), answer);
    },
  };
  return cutting;
}
