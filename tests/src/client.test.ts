import {
  Daybook,
  DaybookError,
  type DaybookOptions,
  type FetchLike,
  type Session,
  type SessionEvent,
} from "@daybook/client";
import { eventBody, eventually, within } from "@daybook/test-kit";
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
