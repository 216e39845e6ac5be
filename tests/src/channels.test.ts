import { eventBody, eventually, newDataDir, startServer } from "@daybook/test-kit";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { channelUrl, ChannelSocket } from "./support/channel-socket.js";
import { openTails } from "./support/metric.js";
import { PhoenixClient } from "./support/phoenix-client.js";
import { rawRequest, requestText } from "./support/raw-http.js";
import { refusedUpgrade } from "./support/tail-socket.js";

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

let auth: AuthServer;
let api: TokenApi;
beforeAll(async () => {
  auth = await AuthServer.start();
  api = await auth.service();
});
afterAll(() => auth[Symbol.asyncDispose]());

/** A session with so many events. */
async function session(events = 0, id = newId()): Promise<string> {
  await api.create({ id });
  if (events > 0) await api.fill(id, { to: events });
  return id;
}

describe.each(["2.0.0", "1.0.0"] as const)("the official phoenix client, serializer %s", (vsn) => {
  const connect = (token = api.token): PhoenixClient => new PhoenixClient(auth.url, { token, vsn });

  test("joins, gets the replay, and then what is appended", async () => {
    const id = await session(5);
    using client = connect();
    const tail = await client.join(`tail:${id}`);
    await tail.reached(5);
    await api.append(id, eventBody(6, { payload: { text: "live ✓" } }));
    await tail.reached(6);
    expect(tail.seqs).toEqual(range(1, 6));
    expect(tail.events[5]).toMatchObject({
      seq: 6,
      cursor: 6,
      tenant_id: "acme",
      actor: "service:backend",
      payload: { text: "live ✓" },
    });
  });

  test("an event is the same in a push, in a page and on the raw tail", async () => {
    const id = await session(1);
    using client = connect();
    const tail = await client.join(`tail:${id}`);
    await tail.reached(1);
    expect(tail.events).toEqual((await api.events(id)).json.events);
  });

  test("the join is answered with the last seq: up to there it is replay", async () => {
    const id = await session(3);
    using client = connect();
    const tail = client.channel(`tail:${id}`, { cursor: 1 });
    expect(await tail.join()).toEqual({ status: "ok", response: { last_seq: 3 } });
  });

  test("cursor goes on after an event", async () => {
    const id = await session(9);
    using client = connect();
    const tail = await client.join(`tail:${id}`, { cursor: 6 });
    await tail.reached(9);
    expect(tail.seqs).toEqual([7, 8, 9]);
  });

  test("a push holds one event unless batch_size says otherwise, and never more than that", async () => {
    const id = await session(10);
    using client = connect();
    using another = connect();
    const single = await client.join(`tail:${id}`);
    const batched = await another.join(`tail:${id}`, { batch_size: 4 });
    await Promise.all([single.reached(10), batched.reached(10)]);
    expect(single.batches.map((batch) => batch.length)).toEqual(Array(10).fill(1));
    expect(batched.batches.map((batch) => batch.length)).toEqual([4, 4, 2]);
    expect(batched.seqs).toEqual(range(1, 10));
  });

  test("live_only is ignored: the replay comes from the start all the same", async () => {
    const id = await session(3);
    using client = connect();
    const tail = await client.join(`tail:${id}`, { live_only: true });
    await tail.reached(3);
    expect(tail.seqs).toEqual([1, 2, 3]);
  });

  test("append is pushed and answered as REST answers", async () => {
    const id = await session();
    using client = connect();
    const tail = await client.join(`tail:${id}`);
    expect(await tail.push("append", { event: eventBody(1) })).toEqual({
      status: "ok",
      response: { seq: 1, last_seq: 1, deduped: false, cursor: 1, committed_cursor: 1 },
    });
    await tail.reached(1);
  });

  test("leave is answered, and nothing comes after it", async () => {
    const id = await session(1);
    using client = connect();
    const tail = await client.join(`tail:${id}`);
    await tail.reached(1);
    expect(await tail.leave()).toEqual({ status: "ok", response: {} });
    expect(tail.isClosed).toBe(true);
    await api.append(id, eventBody(2));
    const other = await client.join(`tail:${id}`, { cursor: 1 });
    await other.reached(2);
    expect(tail.seqs).toEqual([1]);
  });

  test("many topics share one socket", async () => {
    const ids = await Promise.all(range(1, 50).map(() => session(2)));
    using client = connect();
    const tails = await Promise.all(ids.map((id) => client.join(`tail:${id}`)));
    await Promise.all(ids.map((id) => api.append(id, eventBody(3))));
    await Promise.all(tails.map((tail) => tail.reached(3)));
    for (const tail of tails) expect(tail.seqs).toEqual([1, 2, 3]);
  });

  test("lifecycle tells what happens to sessions, activated first", async () => {
    using client = connect();
    const feed = await client.join("lifecycle");
    const id = await session();
    await api.call("PATCH", `/v1/sessions/${id}`, { title: "Named", metadata: { k: 1 } });
    await api.call("POST", `/v1/sessions/${id}/archive`, {});
    await api.call("POST", `/v1/sessions/${id}/archive`, {});
    await api.call("POST", `/v1/sessions/${id}/unarchive`, {});
    await api.call("DELETE", `/v1/sessions/${id}`);
    const mine = (): Record<string, unknown>[] => feed.lifecycle.filter((item) => item["session_id"] === id);
    await eventually("six lifecycle pushes", () => mine().length >= 6);
    expect(mine().map(({ kind }) => kind)).toEqual([
      "session.activated",
      "session.created",
      "session.updated",
      "session.archived",
      "session.unarchived",
      "session.deleted",
    ]);
    expect(mine()[0]).toEqual({ kind: "session.activated", session_id: id, tenant_id: "acme" });
    expect(mine()[3]).toMatchObject({ archived: true });
    expect(mine()[4]).toMatchObject({ archived: false });
  });
});

test("the lifecycle goes on after a cursor: the join gives one, and so does each item", async () => {
  using first = new PhoenixClient(auth.url, { token: api.token });
  const feed = first.channel("lifecycle");
  const { response } = await feed.join();
  expect(response).toEqual({ cursor: expect.any(String) as string });
  const [before, after] = [await session(), await session()];
  const mine = (from: typeof feed): unknown[] =>
    from.lifecycle.filter(({ kind }) => kind === "session.created").map((item) => item["session_id"]);
  await eventually("both came", () => mine(feed).length === 2);
  const cursor = feed.lifecycle.find(
    ({ kind, session_id }) => kind === "session.created" && session_id === before,
  )?.["cursor"];
  using second = new PhoenixClient(auth.url, { token: api.token });
  const fromStart = await second.join("lifecycle", response);
  using third = new PhoenixClient(auth.url, { token: api.token });
  const fromItem = await third.join("lifecycle", { cursor });
  await eventually("the replay came", () => mine(fromStart).length === 2 && mine(fromItem).length === 1);
  expect([mine(fromStart), mine(fromItem)]).toEqual([[before, after], [after]]);
  using fourth = new PhoenixClient(auth.url, { token: api.token });
  for (const bad of ["", "nonsense", 7, null])
    expect(await fourth.channel("lifecycle", { cursor: bad }).join()).toMatchObject({
      response: { reason: "invalid_cursor" },
    });
});

describe("connecting", () => {
  test.each([undefined, "1.0.0", "2.0.0"])("vsn %s is spoken", async (vsn) => {
    using socket = await ChannelSocket.open(auth.url, { token: api.token, vsn: vsn ?? "" });
    expect(await socket.ask("phoenix", "heartbeat")).toEqual({ status: "ok", response: {} });
    expect(socket.messages[0]).toMatchObject({
      topic: "phoenix",
      event: "phx_reply",
      ref: "1",
      joinRef: null,
    });
  });

  test("another vsn is refused with 400", async () => {
    const refusal = await refusedUpgrade(channelUrl(auth.url, api.token, "3.0.0"));
    expect([refusal.status, refusal.json["error"]]).toEqual([400, "invalid_websocket_upgrade"]);
  });

  test("a bad token is 403, and so is none", async () => {
    for (const token of ["bad", undefined])
      expect((await refusedUpgrade(channelUrl(auth.url, token))).status).toBe(403);
  });

  test("neither access_token nor the header is accepted here, nor two tokens", async () => {
    const bare = channelUrl(auth.url, undefined);
    const urls = [`${bare}&access_token=${api.token}`, `${bare}&token=${api.token}&token=${api.token}`];
    for (const url of urls) expect((await refusedUpgrade(url)).status).toBe(403);
    const headers = { authorization: `Bearer ${api.token}` };
    expect((await refusedUpgrade(bare, { headers })).status).toBe(403);
  });

  test("a plain GET is told to upgrade", async () => {
    const { status, json } = await api.call("GET", "/v1/socket/websocket");
    expect([status, json.error]).toEqual([400, "invalid_websocket_upgrade"]);
  });

  test("an upgrade of another WebSocket version is refused in our words", async () => {
    const { pathname, search } = new URL(channelUrl(auth.url, api.token));
    const headers = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "7" };
    const line = `GET ${pathname}${search}`;
    const { status, body } = await rawRequest(auth.url, requestText(auth.url, { line, headers }));
    expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([
      400,
      "invalid_websocket_upgrade",
    ]);
  });
});

describe("joining tail:SESSION_ID", () => {
  const join = async (topic: string, payload: unknown, token = api.token): Promise<string> => {
    using socket = await ChannelSocket.open(auth.url, { token });
    return await socket.join(topic, payload);
  };

  test.each([
    [{ cursor: "3" }, "invalid_cursor"],
    [{ cursor: null }, "invalid_cursor"],
    [{ cursor: -1 }, "invalid_cursor"],
    [{ cursor: 1.5 }, "invalid_cursor"],
    [{ cursor: 2 ** 53 }, "invalid_cursor"],
    [{ batch_size: "10" }, "invalid_tail_batch_size"],
    [{ batch_size: 0 }, "invalid_tail_batch_size"],
    [{ batch_size: 1001 }, "invalid_tail_batch_size"],
    [{ batch_size: null }, "invalid_tail_batch_size"],
    [{ token: "garbage" }, "unauthorized"],
    [{ token: 5 }, "unauthorized"],
    [{ token: null }, "unauthorized"],
  ])("the payload %j is refused with %s", async (payload, reason) => {
    expect(await join(`tail:${await session(1)}`, payload)).toBe(reason);
  });

  test.each([null, [], "text", 7])(
    "a payload that is no object (%j) reads as an empty one",
    async (payload) => {
      expect(await join(`tail:${await session()}`, payload)).toBe("ok");
    },
  );

  test.each(["tail:", "tail:.", "tail:..", "tail:a/b", `tail:${"x".repeat(257)}`, "tail:\u0007"])(
    "the topic %j is refused with invalid_session_id",
    async (topic) => {
      expect(await join(topic, {})).toBe("invalid_session_id");
    },
  );

  test.each([
    "tail",
    "nonsense",
    "lifecycle:x",
    "constructor",
    "__proto__",
    "toString",
    "hasOwnProperty:",
    "",
  ])("the topic %j is unmatched, and the socket lives on", async (topic) => {
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    expect(await socket.join(topic)).toBe("unmatched topic");
    expect(await socket.join("lifecycle")).toBe("ok");
  });

  test("an unknown session is session_not_found, a deleted one and another tenant's too", async () => {
    expect(await join("tail:nobody", {})).toBe("session_not_found");
    const [gone, theirs] = [await session(), newId()];
    await api.call("DELETE", `/v1/sessions/${gone}`);
    await (await auth.service("umbrella")).create({ id: theirs });
    expect(await join(`tail:${gone}`, {})).toBe("session_not_found");
    expect(await join(`tail:${theirs}`, {})).toBe("session_not_found");
  });

  test("what the token does not allow is forbidden_scope or forbidden_session", async () => {
    const id = await session();
    expect(await join(`tail:${id}`, {}, await auth.token({ scope: "session:append" }))).toBe(
      "forbidden_scope",
    );
    expect(await join(`tail:${id}`, {}, await auth.token({ session_id: "other" }))).toBe("forbidden_session");
  });

  test("a socket whose token has ended since joins no more: token_expired, but with a token of its own", async () => {
    const now = Math.floor(Date.now() / 1000);
    const id = await session(1);
    using socket = await ChannelSocket.open(auth.url, { token: await auth.token({ exp: now }) });
    await eventually("the leeway is over", async () => (await socket.join(`tail:${id}`)) === "token_expired");
    expect(await socket.join(`tail:${id}`, { token: api.token })).toBe("ok");
  });

  test("a session that was created a moment ago is joinable at once", async () => {
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    for (let round = 0; round < 20; round++) expect(await socket.join(`tail:${await session()}`)).toBe("ok");
  });

  test.each(["a:b:c", "ünïcode 日本 🎉", "ses_ with space", "%2F", "lifecycle"])(
    "the id %j is the whole rest of the topic",
    async (name) => {
      const id = await session(1, `${newId()} ${name}`);
      using socket = await ChannelSocket.open(auth.url, { token: api.token });
      expect(await socket.join(`tail:${id}`)).toBe("ok");
      await eventually("the event comes", () => socket.seqs(`tail:${id}`).length === 1);
    },
  );

  test("replay begins within 800 ms of the join, of a long session too", async () => {
    const id = await session(3_000);
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    const startedAt = performance.now();
    socket.send(`tail:${id}`, "phx_join", { batch_size: 100 });
    await eventually("the replay begins", () => socket.seqs(`tail:${id}`).length > 0);
    expect(performance.now() - startedAt).toBeLessThan(800);
    await eventually("all come", () => socket.seqs(`tail:${id}`).length >= 3_000);
    expect(socket.seqs(`tail:${id}`)).toEqual(range(1, 3_000));
  });

  test("the join is answered before anything is pushed, and pushes carry its ref and none of their own", async () => {
    const id = await session(2);
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    socket.send(`tail:${id}`, "phx_join", {}, "j7");
    await eventually("both events come", () => socket.seqs(`tail:${id}`).length === 2);
    expect(socket.messages.map(({ joinRef, ref, event }) => [joinRef, ref, event])).toEqual([
      ["j7", "1", "phx_reply"],
      ["j7", null, "events"],
      ["j7", null, "events"],
    ]);
  });

  test("a second join closes the first, with the first's ref, and then joins", async () => {
    const id = await session(1);
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    socket.send(`tail:${id}`, "phx_join", {}, "first");
    await eventually("the event comes", () => socket.seqs(`tail:${id}`).length === 1);
    const ref = socket.send(`tail:${id}`, "phx_join", { cursor: 1 }, "second");
    expect((await socket.replyTo(ref)).status).toBe("ok");
    await api.append(id, eventBody(2));
    await eventually("the next event comes", () => socket.seqs(`tail:${id}`).length === 2);
    expect(socket.messages.slice(2).map(({ joinRef, event }) => [joinRef, event])).toEqual([
      ["first", "phx_close"],
      ["second", "phx_reply"],
      ["second", "events"],
    ]);
  });

  test("a late leave of the first join does not end the second", async () => {
    const id = await session();
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    socket.send(`tail:${id}`, "phx_join", {}, "first");
    socket.send(`tail:${id}`, "phx_join", {}, "second");
    expect((await socket.ask(`tail:${id}`, "phx_leave", {}, "first")).status).toBe("ok");
    await api.append(id, eventBody(1));
    await eventually("the event comes", () => socket.seqs(`tail:${id}`).length === 1);
  });

  test("leave is answered ok and then closed; of an unknown topic it is ok too", async () => {
    const id = await session();
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    socket.send(`tail:${id}`, "phx_join", {}, "j");
    const ref = socket.send(`tail:${id}`, "phx_leave", {}, "j");
    expect(await socket.replyTo(ref)).toEqual({ status: "ok", response: {} });
    await socket.next("the close", ({ event }) => event === "phx_close");
    expect(socket.messages.at(-1)).toMatchObject({ joinRef: "j", topic: `tail:${id}`, event: "phx_close" });
    expect(await socket.ask("tail:never-joined", "phx_leave")).toEqual({ status: "ok", response: {} });
  });

  test("a cursor ahead of the end is told with a gap of integers, and the tail goes on from the end", async () => {
    const id = await session(3);
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`, { cursor: 99 });
    await api.append(id, eventBody(4));
    await tail.reached(4);
    expect(tail.of("gap")).toEqual([
      {
        type: "gap",
        reason: "resume_invalidated",
        from_cursor: 99,
        next_cursor: 3,
        committed_cursor: 3,
        earliest_available_cursor: 1,
      },
    ]);
    expect(tail.seqs).toEqual([4]);
  });

  test("no gap is sent where there is no hole", async () => {
    const id = await session(3);
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`, { cursor: 3 });
    await api.append(id, eventBody(4));
    await tail.reached(4);
    expect(tail.of("gap")).toEqual([]);
  });

  test("deletion closes the topic for good", async () => {
    const id = await session(1);
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`);
    await api.call("DELETE", `/v1/sessions/${id}`);
    await eventually("the channel is closed", () => tail.isClosed);
    expect(tail.errors).toBe(0);
  });

  test("10,000 joins on one socket are answered, 1,000 of them with ok, and the socket lives on", async () => {
    const id = await session(1);
    const ids = range(1, 1_000).map((n) => `${id}-${n}`);
    for (let at = 0; at < ids.length; at += 100)
      await Promise.all(ids.slice(at, at + 100).map((one) => api.create({ id: one })));
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    const refs = range(0, 9_999).map((n) =>
      socket.send(n < 1_000 ? `tail:${ids[n] ?? ""}` : `tail:${id}`, "phx_join"),
    );
    const last = await socket.replyTo(refs.at(-1) ?? "");
    expect(last).toEqual({ status: "error", response: { reason: "too_many_topics" } });
    const answers = socket.messages.filter(({ event }) => event === "phx_reply");
    expect(answers.map(({ ref }) => ref)).toEqual(refs);
    expect(answers.filter(({ payload }) => payload["status"] === "ok")).toHaveLength(1_000);
    expect((await socket.ask("phoenix", "heartbeat")).status).toBe("ok");
    // One of those who are in may join again.
    expect(await socket.join(`tail:${ids[0] ?? ""}`)).toBe("ok");
  });

  test("a socket that goes while it joins leaves nothing behind", async () => {
    const id = await session(1);
    await Promise.all(
      range(1, 20).map(async () => {
        const socket = await ChannelSocket.open(auth.url, { token: api.token });
        for (let n = 0; n < 10; n++) socket.send(`tail:${id}`, "phx_join", { token: await auth.token() });
        socket.send("lifecycle", "phx_join", { token: await auth.token() });
        socket.socket.terminate();
      }),
    );
    await eventually("no channel is open", async () => (await openTails(auth.opsUrl, "channel")) === 0);
  });
});

describe("append on a channel", () => {
  test.each([
    [{}, "invalid_event"],
    [{ event: { type: "note" } }, "invalid_event"],
    [{ event: "text" }, "invalid_event"],
    [{ event: eventBody(1, { actor: "agent:somebody-else" }) }, "invalid_event"],
    [{ event: eventBody(1, { metadata: [] }) }, "invalid_metadata"],
    [{ event: eventBody(1, { expected_seq: 7 }) }, "expected_seq_conflict"],
    [{ events: [] }, "invalid_event"],
    [{ events: null }, "invalid_event"],
    [{ event: null }, "invalid_event"],
    [{ event: eventBody(1), events: [eventBody(1)] }, "invalid_event"],
    [{ event: eventBody(1), expected_seq: 0 }, "invalid_event"],
    [{ events: [eventBody(1)], expected_seq: 7 }, "expected_seq_conflict"],
  ])("%j is refused with %s, as REST would", async (payload, code) => {
    const id = await session();
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`);
    const { status, response } = await tail.push("append", payload);
    expect([status, response["reason"], response["error"]]).toEqual(["error", code, code]);
    expect(response["message"]).toEqual(expect.any(String));
    if (code === "expected_seq_conflict") expect(response["current_seq"]).toBe(0);
  });

  test("a retry is recognised, over channel and REST alike, and other content under its pair is a conflict", async () => {
    const id = await session();
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`);
    await tail.push("append", { event: eventBody(1) });
    expect((await tail.push("append", { event: eventBody(1) })).response).toMatchObject({
      seq: 1,
      deduped: true,
    });
    expect((await api.append(id, eventBody(1))).json).toMatchObject({ seq: 1, deduped: true });
    const other = await tail.push("append", { event: eventBody(1, { type: "other" }) });
    expect(other.response["reason"]).toBe("producer_replay_conflict");
  });

  test("a list is one commit", async () => {
    const id = await session();
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`, { batch_size: 10 });
    const { response } = await tail.push("append", { events: [eventBody(1), eventBody(2)], expected_seq: 0 });
    expect(response).toMatchObject({
      results: [
        { seq: 1, deduped: false },
        { seq: 2, deduped: false },
      ],
      last_seq: 2,
    });
    await tail.reached(2);
  });

  test("the exact text of a payload is kept", async () => {
    const id = await session();
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    await socket.join(`tail:${id}`);
    const payload = String.raw`{"z":1,"a":9007199254740993,"__proto__":{"x":1.50e+400},"ü":"\u00e9\/"}`;
    const event = `{"type":"t","payload":${payload},"producer_id":"p","producer_seq":1}`;
    socket.sendText(`["1","a1","tail:${id}","append",{"event":${event}}]`);
    expect((await socket.replyTo("a1")).status).toBe("ok");
    expect((await api.events(id)).text).toContain(`"payload":${payload}`);
  });

  test("the actor is the topic's token's principal, and it needs session:append", async () => {
    const id = await session();
    const [writer, reader] = [
      await auth.token({ sub: "agent:drafter" }),
      await auth.token({ sub: "user:alice", scope: "session:read" }),
    ];
    using client = new PhoenixClient(auth.url, { token: reader });
    const reading = await client.join(`tail:${id}`);
    expect((await reading.push("append", { event: eventBody(1) })).response["reason"]).toBe(
      "forbidden_scope",
    );
    using socket = await ChannelSocket.open(auth.url, { token: reader });
    expect(await socket.join(`tail:${id}`, { token: writer })).toBe("ok");
    expect((await socket.ask(`tail:${id}`, "append", { event: eventBody(1) })).status).toBe("ok");
    expect((await api.events(id)).json.events[0]?.actor).toBe("agent:drafter");
  });

  test("what is no push of ours, and a push to a topic that was not joined, are errors and no more", async () => {
    const id = await session();
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    await socket.join(`tail:${id}`);
    expect(await socket.ask(`tail:${id}`, "nonsense")).toEqual({
      status: "error",
      response: { reason: "unmatched event" },
    });
    expect((await socket.ask("tail:other", "append", {})).response).toEqual({ reason: "unmatched topic" });
    await socket.join("lifecycle");
    expect((await socket.ask("lifecycle", "append", {})).response).toEqual({ reason: "unmatched event" });
  });
});

describe("a topic's own token", () => {
  test("each topic of a socket may have one: different users, different tenants", async () => {
    const [mine, theirs] = [await session(1), newId()];
    const umbrella = await auth.service("umbrella");
    await umbrella.create({ id: theirs });
    await umbrella.fill(theirs, { to: 2 });
    using client = new PhoenixClient(auth.url, { token: await auth.token({ session_id: "nothing" }) });
    const one = await client.join(`tail:${mine}`, { token: api.token });
    const two = await client.join(`tail:${theirs}`, { token: umbrella.token });
    await Promise.all([one.reached(1), two.reached(2)]);
    expect(two.events[0]?.tenant_id).toBe("umbrella");
  });

  test("a push of token puts a newer one in its place: the topic lives on past the first one's end", async () => {
    const id = await session();
    const exp = Math.ceil(Date.now() / 1000) + 1;
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`, { token: await auth.token({ exp }) });
    const feed = await client.join("lifecycle", { token: await auth.token({ exp }) });
    const witness = await client.join(`tail:${await session()}`, { token: await auth.token({ exp }) });
    const fresh = await auth.token({ sub: "agent:renewed" });
    expect(await tail.push("token", { token: fresh })).toEqual({ status: "ok", response: {} });
    expect((await feed.push("token", { token: api.token })).status).toBe("ok");
    await eventually("the first tokens have ended", () => witness.isClosed);
    expect((await tail.push("append", { event: eventBody(1) })).status).toBe("ok");
    await tail.reached(1);
    expect(tail.events[0]?.actor).toBe("agent:renewed");
    expect([tail.isClosed, feed.isClosed, tail.of("token_expired")]).toEqual([false, false, []]);
  });

  test("a bad newer token changes nothing", async () => {
    const id = await session();
    using client = new PhoenixClient(auth.url, { token: api.token });
    const tail = await client.join(`tail:${id}`);
    const reasons = [];
    for (const token of ["garbage", undefined, await auth.token({ tenant_id: "umbrella" })])
      reasons.push((await tail.push("token", { token })).response["reason"]);
    expect(reasons).toEqual(["unauthorized", "unauthorized", "forbidden"]);
    expect((await tail.push("append", { event: eventBody(1) })).status).toBe("ok");
  });
});

describe("lifecycle", () => {
  const join = async (token: string): Promise<string> => {
    using socket = await ChannelSocket.open(auth.url, { token });
    return await socket.join("lifecycle");
  };

  test("is for services that may read and are not tied to a session", async () => {
    expect(await join(api.token)).toBe("ok");
    expect(await join(await auth.token({ sub: "user:alice" }))).toBe("forbidden");
    expect(await join(await auth.token({ sub: "agent:a" }))).toBe("forbidden");
    expect(await join(await auth.token({ scope: "session:append" }))).toBe("forbidden_scope");
    expect(await join(await auth.token({ session_id: "s" }))).toBe("forbidden_session");
    expect(await join(await auth.token({ sub: "org:o" }))).toBe("ok");
    expect(await join(await auth.token({ sub: "svc:s" }))).toBe("ok");
  });

  test.each([[null], [[]], ["text"], [7], [{ token: 7 }]])("the payload %j does no harm", async (payload) => {
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    const isBadToken = typeof payload === "object" && payload !== null && "token" in payload;
    expect(await socket.join("lifecycle", payload)).toBe(isBadToken ? "unauthorized" : "ok");
  });

  test("what is pushed has the members of the facts, and only what happens after the join", async () => {
    const before = await session();
    using client = new PhoenixClient(auth.url, { token: api.token });
    const feed = await client.join("lifecycle");
    const id = newId();
    await api.create({ id, title: "T", metadata: { a: 1 } });
    await api.call("PATCH", `/v1/sessions/${id}`, { metadata: { b: 2 } });
    await eventually(
      "three pushes",
      () => feed.lifecycle.filter((item) => item["session_id"] === id).length === 3,
    );
    const [, created, updated] = feed.lifecycle.filter((item) => item["session_id"] === id);
    expect(created).toMatchObject({
      kind: "session.created",
      tenant_id: "acme",
      title: "T",
      metadata: { a: 1 },
      version: 1,
      created_at: expect.any(String) as string,
    });
    expect(updated).toMatchObject({
      kind: "session.updated",
      title: "T",
      metadata: { a: 1, b: 2 },
      version: 2,
      updated_at: expect.any(String) as string,
    });
    expect(feed.lifecycle.some((item) => item["session_id"] === before)).toBe(false);
  });
});

describe("a slow reader of many topics", () => {
  test("gets everything in order once it reads, each topic its turn", async () => {
    const text = "x".repeat(20_000);
    const ids = await Promise.all(range(1, 12).map(() => session()));
    await Promise.all(
      ids.map((id) =>
        api.append(id, { events: range(1, 60).map((n) => eventBody(n, { payload: { text } })) }),
      ),
    );
    using socket = await ChannelSocket.open(auth.url, { token: api.token });
    socket.socket.pause();
    for (const id of ids) socket.send(`tail:${id}`, "phx_join", { batch_size: 7 });
    // Live events come meanwhile.
    await Promise.all(ids.map((id) => api.append(id, eventBody(61))));
    socket.socket.resume();
    for (const id of ids) {
      await eventually("all of a topic has come", () => socket.seqs(`tail:${id}`).length >= 61);
      expect(socket.seqs(`tail:${id}`)).toEqual(range(1, 61));
    }
    const firsts = ids.map((id) =>
      socket.messages.findIndex((one) => one.topic === `tail:${id}` && one.event === "events"),
    );
    const lasts = ids.map((id) => socket.messages.findLastIndex((one) => one.topic === `tail:${id}`));
    // Nobody waits until somebody else has all.
    expect(Math.max(...firsts)).toBeLessThan(Math.min(...lasts));
  });
});

describe("a restart", () => {
  test("ends sockets with 1001; the client comes back, joins from its cursor and gets everything exactly once", async () => {
    const dataDir = await newDataDir();
    const first = await startServer({ dataDir });
    const { port } = new URL(first.url);
    const id = await first.create();
    await first.fill(id, { to: 20 });
    using client = new PhoenixClient(first.url);
    let last = 0;
    const tail = await client.join(`tail:${id}`, () => ({ cursor: last, batch_size: 7 }));
    tail.channel.on("events", ({ events }: { events: { seq: number }[] }) => {
      last = events.at(-1)?.seq ?? last;
    });
    await tail.reached(20);
    await first.fill(id, { from: 21, to: 25 });
    await first.close();
    expect(client.closes[0]).toBe(1001);
    await using second = await startServer({ dataDir, settings: { port: Number(port) } });
    await second.fill(id, { from: 26, to: 40 });
    await tail.reached(40);
    expect(tail.seqs).toEqual(range(1, 40));
    expect(tail.isClosed).toBe(false);
    await second.close();
    await rm(dataDir, { recursive: true, force: true });
  });
});
