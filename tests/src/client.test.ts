import {
  Daybook,
  DaybookError,
  type DaybookOptions,
  type FetchLike,
  type Gap,
  localStorageStore,
  memoryStore,
  type Session,
  type SessionEvent,
} from "@daybook/client";
import { eventBody, eventually, fakeStorage, within } from "@daybook/test-kit";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);
const seqsOf = (events: readonly SessionEvent[]): number[] => events.map(({ seq }) => seq);

let auth: AuthServer;
let api: TokenApi;
let apiKey: string;
beforeAll(async () => {
  auth = await AuthServer.start();
  api = await auth.service();
  apiKey = (await auth.key()).key;
});
afterAll(() => auth[Symbol.asyncDispose]());

const client = (more: Partial<DaybookOptions> = {}): Daybook =>
  new Daybook({ baseUrl: auth.url, apiKey, WebSocket, ...more });

/** Everything a session tells about its events, from now on. */
function heard(session: Session): SessionEvent[] {
  const events: SessionEvent[] = [];
  session.on("event", (event) => void events.push(event));
  return events;
}

describe("a session made with an API key", () => {
  test("appends are answered with their seq, and come back on the tail as the identity's", async () => {
    await using daybook = client();
    const session = await daybook.session({
      identity: daybook.user({ id: "alice" }),
      title: "First",
      metadata: { topic: "tests" },
    });
    expect(session.record).toMatchObject({ title: "First", metadata: { topic: "tests" }, last_seq: 0 });
    const events = heard(session);
    expect(await session.append({ text: "Hello!" })).toEqual({ seq: 1, deduped: false });
    expect(await session.append({ type: "note", payload: { n: 2 }, refs: { to_seq: 1 } })).toMatchObject({
      seq: 2,
    });
    await eventually("both events came", () => events.length === 2);
    expect(events).toMatchObject([
      { seq: 1, type: "content", actor: "user:alice", payload: { text: "Hello!" } },
      { seq: 2, type: "note", payload: { n: 2 }, refs: { to_seq: 1 } },
    ]);
    expect(session.snapshot()).toMatchObject({ status: "live", lastSeq: 2, events, pending: [] });
  });

  test("a session that exists is bound to, and keeps its title", async () => {
    const id = newId();
    await api.create({ id, title: "Mine" });
    await using daybook = client();
    const session = await daybook.session({ identity: daybook.agent({ id: "drafter" }), id, title: "Other" });
    expect(session.record?.title).toBe("Mine");
    await session.append({ text: "Here" });
    expect((await api.events(id)).json.events).toMatchObject([{ actor: "agent:drafter" }]);
  });

  test("many appends at once keep their order and go out in few requests", async () => {
    let requests = 0;
    const counting: FetchLike = (url, init) => {
      if (url.endsWith("/append")) requests++;
      return fetch(url, init);
    };
    await using daybook = client({ fetch: counting });
    const session = await daybook.session({ identity: daybook.user({ id: "alice" }) });
    const results = await Promise.all(range(1, 700).map((n) => session.append({ payload: { n } })));
    expect(results.map(({ seq }) => seq)).toEqual(range(1, 700));
    expect((await api.allEvents(session.id)).map(({ payload }) => payload["n"])).toEqual(range(1, 700));
    expect(requests).toBeLessThan(5);
  });

  test("appendAll is one commit; a condition that is not met refuses it and nothing else", async () => {
    await using daybook = client();
    const session = await daybook.session({ identity: daybook.user({ id: "alice" }) });
    expect(await session.appendAll([{ text: "a" }, { text: "b" }], { expectedSeq: 0 })).toMatchObject([
      { seq: 1 },
      { seq: 2 },
    ]);
    const unmet = session.appendAll([{ text: "c" }], { expectedSeq: 0 });
    const after = session.append({ text: "d" });
    const error = await unmet.catch((thrown: unknown) => thrown as DaybookError);
    expect(error).toMatchObject({ code: "expected_seq_conflict", status: 409, details: { current_seq: 2 } });
    expect(await after).toMatchObject({ seq: 3 });
  });
});

describe("a session bound with a token", () => {
  test("replays, then follows, and says so", async () => {
    const id = newId();
    await api.create({ id });
    await api.fill(id, { to: 50 });
    const daybook = client();
    const statuses: string[] = [];
    const session = daybook.session({ token: await auth.mint(apiKey, id, { as: "user:bob" }) });
    expect(session.identity).toEqual({ type: "user", id: "bob" });
    session.on("status", ({ status }) => {
      if (statuses.at(-1) !== status) statuses.push(status);
    });
    const events = heard(session);
    await eventually("the replay came", () => session.status === "live");
    await api.append(id, eventBody(51));
    await eventually("the live one came", () => events.length === 51);
    await daybook.close();
    expect(seqsOf(events)).toEqual(range(1, 51));
    expect(statuses).toEqual(["connecting", "replaying", "live", "closed"]);
  });

  test("events() reads at the loop's pace: from pages, from memory, then live", async () => {
    const id = newId();
    await api.create({ id });
    await api.fill(id, { to: 2_500 });
    await using daybook = client();
    const session = daybook.session({ token: await auth.mint(apiKey, id), eventsMax: 100 });
    const seqs: number[] = [];
    const reading = (async () => {
      for await (const { seq } of session.events({ cursor: 10 })) {
        seqs.push(seq);
        if (seq === 2_501) break;
      }
    })();
    await eventually("all were read", () => seqs.length === 2_490);
    await api.append(id, eventBody(2_501));
    await within("the loop ended", reading);
    expect(seqs).toEqual(range(11, 2_501));
    expect(session.snapshot().events.length).toBeLessThanOrEqual(125);
  });

  test("events() ends quietly with its signal, and with close()", async () => {
    const id = newId();
    await api.create({ id });
    await api.fill(id, { to: 3 });
    await using daybook = client();
    const session = daybook.session({ token: await auth.mint(apiKey, id) });
    const abort = new AbortController();
    const read = async (signal?: AbortSignal): Promise<number[]> => {
      const seqs: number[] = [];
      for await (const { seq } of session.events(signal === undefined ? {} : { signal })) {
        seqs.push(seq);
        if (seq === 3) abort.abort();
      }
      return seqs;
    };
    expect(await within("the aborted loop ended", read(abort.signal))).toEqual([1, 2, 3]);
    const closing = read();
    await session.close();
    expect(await within("the other loop ended", closing)).toEqual([1, 2, 3]);
  });

  test("from Infinity on: only what comes, for listeners and loops, whatever was", async () => {
    const id = newId();
    await api.create({ id });
    await api.fill(id, { to: 30 });
    await using daybook = client();
    const token = await auth.mint(apiKey, id);
    const [listening, following] = [daybook.session({ token, cursor: Infinity }), daybook.session({ token })];
    const gaps: Gap[] = [];
    expect(listening.snapshot()).toMatchObject({ lastSeq: 0, events: [] });
    for (const session of [listening, following]) session.on("gap", (gap) => void gaps.push(gap));
    const events = heard(listening);
    const followed: number[] = [];
    const end = new AbortController();
    const loop = (async () => {
      for await (const { seq } of following.events({ cursor: Infinity, signal: end.signal }))
        followed.push(seq);
    })();
    await eventually("both are live", () => [listening, following].every(({ cursor }) => cursor === 30));
    await api.fill(id, { from: 31, to: 32 });
    await eventually("what comes came", () => events.length === 2 && followed.length === 2);
    expect([seqsOf(events), followed, gaps]).toEqual([[31, 32], [31, 32], []]);
    end.abort();
    await within("the loop ended", loop);
  });

  test("range and before read pages", async () => {
    const id = newId();
    await api.create({ id });
    await api.fill(id, { to: 1_200 });
    await using daybook = client();
    const session = daybook.session({ token: await auth.mint(apiKey, id) });
    expect(seqsOf(await session.range(2, 1_150))).toEqual(range(2, 1_150));
    expect(seqsOf(await session.range(1_199, 5_000))).toEqual([1_199, 1_200]);
    expect(await session.range(2_000, 3_000)).toEqual([]);
    expect(seqsOf(await session.before(Infinity, 3))).toEqual([1_198, 1_199, 1_200]);
    expect(seqsOf(await session.before(4))).toEqual([1, 2, 3]);
    expect(session.status).toBe("idle");
  });

  test("what may not be read ends the tail and its loops with the reason", async () => {
    const id = newId();
    await api.create({ id });
    await using daybook = client();
    const session = daybook.session({ token: await auth.mint(apiKey, id) });
    await api.call("DELETE", `/v1/sessions/${id}`);
    const loop = (async () => {
      for await (const event of session.events()) expect(event).toBeUndefined();
    })();
    await expect(within("the loop ended", loop)).rejects.toMatchObject({ code: "session_not_found" });
    await eventually("the tail ended", () => session.status === "ended");
    expect(session.snapshot().error).toBeInstanceOf(DaybookError);
  });
});

describe("sessions as records", () => {
  test("create, get, update, archive, unarchive, delete", async () => {
    await using daybook = client();
    const { sessions } = daybook;
    const { id } = await sessions.create({ title: "Old", metadata: { a: 1 } });
    expect(id).toMatch(/^ses_/);
    expect(await sessions.update(id, { title: null, metadata: { b: 2 }, expectedVersion: 1 })).toMatchObject({
      title: null,
      metadata: { a: 1, b: 2 },
      version: 2,
    });
    await expect(sessions.update(id, { title: "x", expectedVersion: 1 })).rejects.toMatchObject({
      code: "expected_version_conflict",
      details: { current_version: 2 },
    });
    expect((await sessions.archive(id)).archived).toBe(true);
    expect((await sessions.unarchive(id)).archived).toBe(false);
    await expect(sessions.create({ id })).rejects.toMatchObject({ code: "session_exists", retryable: false });
    await sessions.delete(id);
    await expect(sessions.get(id)).rejects.toMatchObject({ code: "session_not_found", status: 404 });
  });

  test("list goes through all pages, filtered and in order", async () => {
    await using daybook = client();
    const run = newId("run");
    const ids = ["a", "b", "c", "d", "e"].map((letter) => `${run}-${letter}`);
    for (const id of ids) await daybook.sessions.create({ id, metadata: { run, n: 1 } });
    await daybook.sessions.archive(ids[1] ?? "");
    const listed: string[] = [];
    for await (const { id } of daybook.sessions.list({ metadata: { run, n: 1 }, order: "desc", limit: 2 }))
      listed.push(id);
    expect(listed).toEqual([ids[4], ids[3], ids[2], ids[0]]);
    const { sessions, next_cursor } = await daybook.sessions.page({ metadata: { run }, archived: true });
    expect([sessions.map(({ id }) => id), next_cursor]).toEqual([[ids[1]], null]);
  });
});

describe("the lifecycle", () => {
  test("tells what happens to sessions, each listener its kind", async () => {
    await using daybook = client();
    const told: string[] = [];
    const id = newId();
    for (const kind of ["created", "updated", "archived", "unarchived", "deleted"] as const)
      daybook.on(`session.${kind}`, ({ session_id }) => {
        if (session_id === id) told.push(kind);
      });
    // From now on: what is made before the feed is joined need not be told.
    let isJoined = false;
    daybook.on("session.created", () => (isJoined = true));
    await eventually("the feed is joined", async () => {
      if (!isJoined) await api.create({ id: newId("probe") });
      return isJoined;
    });
    await daybook.sessions.create({ id, title: "Watched" });
    await daybook.sessions.update(id, { title: "Renamed" });
    await daybook.sessions.archive(id);
    await daybook.sessions.unarchive(id);
    await daybook.sessions.delete(id);
    await eventually("all was told", () => told.length === 5);
    expect(told).toEqual(["created", "updated", "archived", "unarchived", "deleted"]);
  });

  test("a key that may not follow it is told so", async () => {
    const { key } = await auth.key({ scopes: ["session:append"] });
    await using daybook = client({ apiKey: key });
    const refused = new Promise<DaybookError>((resolve) => void daybook.on("error", resolve));
    daybook.on("session.created", () => undefined);
    expect(await within("the refusal came", refused)).toMatchObject({ code: "forbidden_scope" });
  });
});

test("without a WebSocket appends and reads work, and following says what to do", async () => {
  const native = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  Reflect.deleteProperty(globalThis, "WebSocket");
  try {
    await using daybook = new Daybook({ baseUrl: auth.url, apiKey });
    const session = await daybook.session({ identity: daybook.user({ id: "alice" }) });
    await session.append({ text: "Hello!" });
    expect(await session.before(Infinity)).toHaveLength(1);
    await using kept = new Daybook({ baseUrl: auth.url, apiKey, store: memoryStore() });
    const other = await kept.session({ identity: kept.user({ id: "alice" }), id: session.id });
    for (const one of [session, other])
      expect(() => one.on("event", () => undefined)).toThrow(
        expect.objectContaining({ code: "no_websocket" }),
      );
  } finally {
    if (native !== undefined) Object.defineProperty(globalThis, "WebSocket", native);
  }
});

test("a program that has appended and forgets to close ends by itself", async () => {
  const code = `
    import { Daybook } from ${JSON.stringify(import.meta.resolve("@daybook/client"))};
    const daybook = new Daybook({ baseUrl: process.env.URL, apiKey: process.env.KEY });
    const session = await daybook.session({ identity: daybook.user({ id: "alice" }) });
    console.log((await session.append({ text: "Hello!" })).seq);`;
  const env = { ...process.env, URL: auth.url, KEY: apiKey };
  const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", code], { env });
  expect((await within("it ended", run)).stdout).toBe("1\n");
});

describe("a store", () => {
  test("keeps appends over a reload: the next page sends them, in order, before its own", async () => {
    const store = localStorageStore(fakeStorage());
    const id = await api.create({ id: newId() });
    const token = await auth.mint(apiKey, id, { as: "user:alice" });
    const offline: FetchLike = () => Promise.reject(new TypeError("fetch failed"));
    const before = client({ store, fetch: offline }).session({ token });
    const lost = ["one", "two", "three"].map((text) =>
      before.append({ text }).catch((error: unknown) => error),
    );
    await before.close({ timeoutMs: 0 });
    expect(await Promise.all(lost)).toMatchObject(
      lost.map(() => ({ code: "closed", mayHaveHappened: true })),
    );
    await using daybook = client({ store });
    const after = daybook.session({ token });
    expect(await after.append({ text: "four" })).toMatchObject({ seq: 4 });
    expect((await api.allEvents(id)).map(({ payload }) => payload["text"])).toEqual([
      "one",
      "two",
      "three",
      "four",
    ]);
    expect(await store.keys("daybook/")).toEqual([]);
  });

  test("what one person left is not sent by another", async () => {
    const store = memoryStore();
    const id = await api.create({ id: newId() });
    const offline: FetchLike = () => Promise.reject(new TypeError("fetch failed"));
    const alice = client({ store, fetch: offline }).session({
      token: await auth.mint(apiKey, id, { as: "user:alice" }),
    });
    alice.append({ text: "from alice" }).catch(() => undefined);
    await alice.close({ timeoutMs: 0 });
    await using daybook = client({ store });
    const bob = daybook.session({ token: await auth.mint(apiKey, id, { as: "user:bob" }) });
    await bob.append({ text: "from bob" });
    expect((await api.allEvents(id)).map(({ actor }) => actor)).toEqual(["user:bob"]);
  });

  test("keeps how far listeners have come; a cursor that is given counts more", async () => {
    const store = memoryStore();
    const id = await api.create({ id: newId() });
    await api.fill(id, { to: 5 });
    const token = await auth.mint(apiKey, id);
    const seenBy = async (choice: { readonly cursor?: number } = {}): Promise<number[]> => {
      await using daybook = client({ store });
      const session = daybook.session({ token, ...choice });
      const events = heard(session);
      await eventually("it is live", () => session.status === "live");
      return seqsOf(events);
    };
    expect(await seenBy()).toEqual([1, 2, 3, 4, 5]);
    await api.fill(id, { from: 6, to: 7 });
    expect(await seenBy()).toEqual([6, 7]);
    expect(await seenBy()).toEqual([]);
    expect(await seenBy({ cursor: 3 })).toEqual([4, 5, 6, 7]);
  });

  test("that fails is told, and nothing else stops", async () => {
    const full = { ...fakeStorage(), setItem: () => expect.fail("full") };
    await using daybook = client({ store: localStorageStore(full) });
    const session = daybook.session({ token: await auth.mint(apiKey, await api.create({ id: newId() })) });
    const errors: string[] = [];
    session.on("error", ({ code }) => void errors.push(code));
    expect(await session.append({ text: "Hello!" })).toMatchObject({ seq: 1 });
    expect(errors).toEqual(["store_failed"]);
  });
});

test("a cursor ahead of the end is a gap: it is told, and the tail goes on from there", async () => {
  const id = await api.create({ id: newId() });
  await api.fill(id, { to: 3 });
  await using daybook = client();
  const session = daybook.session({ token: await auth.mint(apiKey, id), cursor: 50 });
  const gaps: Gap[] = [];
  session.on("gap", (gap) => void gaps.push(gap));
  const events = heard(session);
  const followed: number[] = [];
  void (async () => {
    for await (const { seq } of session.events({ cursor: 40 })) followed.push(seq);
  })();
  await eventually("it is live", () => session.status === "live");
  await api.fill(id, { from: 4, to: 5 });
  await eventually("what comes came", () => events.length === 2 && followed.length === 2);
  expect([seqsOf(events), followed]).toEqual([
    [4, 5],
    [4, 5],
  ]);
  expect(gaps).toEqual([
    {
      type: "gap",
      reason: "resume_invalidated",
      from_cursor: 50,
      next_cursor: 3,
      committed_cursor: 3,
      earliest_available_cursor: 1,
    },
  ]);
});

test("two sessions of one client on the same session, as different people, each have their own tail", async () => {
  const id = await api.create({ id: newId() });
  await using daybook = client();
  const [alice, bob] = await Promise.all(
    ["alice", "bob"].map(async (who) =>
      daybook.session({ token: await auth.mint(apiKey, id, { as: `user:${who}` }) }),
    ),
  );
  const [first, second] = [heard(alice!), heard(bob!)];
  await Promise.all([alice!.append({ text: "a" }), bob!.append({ text: "b" })]);
  await eventually("both have both", () => first.length === 2 && second.length === 2);
  await alice!.close();
  await bob!.append({ text: "c" });
  await eventually("the other goes on", () => second.length === 3);
  expect(new Set(second.map(({ actor }) => actor))).toEqual(new Set(["user:alice", "user:bob"]));
});

test("a hundred sessions share one socket", async () => {
  let sockets = 0;
  class Counted extends WebSocket {
    constructor(url: string) {
      super(url);
      sockets++;
    }
  }
  await using daybook = client({ WebSocket: Counted });
  const sessions = await Promise.all(
    range(1, 100).map(() => daybook.session({ identity: daybook.user({ id: "alice" }) })),
  );
  const all = sessions.map(heard);
  await Promise.all(sessions.map((session) => session.append({ text: "Hello!" })));
  await eventually("each has its own", () => all.every((events) => events.length === 1));
  expect(sockets).toBe(1);
});

test("more than ten thousand events are not queued", async () => {
  const offline: FetchLike = () => Promise.reject(new TypeError("fetch failed"));
  const id = await api.create({ id: newId() });
  const session = client({ fetch: offline }).session({ token: await auth.mint(apiKey, id) });
  const many = Array.from({ length: 10_000 }, (_, n) => ({ payload: { n } }));
  const queued = session.appendAll(many).catch(() => undefined);
  await expect(session.append({ text: "one more" })).rejects.toMatchObject({
    code: "outbox_full",
    retryable: true,
  });
  await session.close({ timeoutMs: 0 });
  await queued;
});
