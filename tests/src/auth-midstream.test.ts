import { eventBody, eventually, within } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { EventStream } from "./support/event-stream.js";
import { openTails } from "./support/metric.js";
import { PhoenixClient } from "./support/phoenix-client.js";
import { openTail } from "./support/tail-socket.js";

let auth: AuthServer;
let api: TokenApi;
beforeAll(async () => {
  auth = await AuthServer.start();
  api = await auth.service();
});
afterAll(() => auth[Symbol.asyncDispose]());

/** A session with one event, and a token that ends in one to two seconds. */
async function short(): Promise<{
  id: string;
  token: string;
  endsAt: number;
  headers: { authorization: string };
}> {
  const id = await api.create({ id: newId() });
  await api.append(id, eventBody(1));
  const exp = Math.ceil(Date.now() / 1000) + 1;
  const token = await auth.token({ exp });
  return { id, token, endsAt: exp * 1000, headers: { authorization: `Bearer ${token}` } };
}

/** At the moment it ends: not before, and not a second later. */
function expectAt(endsAt: number): void {
  expect(Date.now()).toBeGreaterThanOrEqual(endsAt);
  expect(Date.now()).toBeLessThan(endsAt + 1_000);
}

describe.concurrent("a token that ends in mid-stream", () => {
  test("closes a raw tail with 4001 token_expired", async () => {
    const { id, token, endsAt } = await short();
    using tail = await openTail(auth.url, id, `?access_token=${token}`);
    await tail.received(1);
    expect(await within("the tail ends", tail.closed)).toEqual({ code: 4001, reason: "token_expired" });
    expectAt(endsAt);
    expect(tail.seqs).toEqual([1]);
  });

  test("ends server-sent events with an event that says so", async () => {
    const { id, headers, endsAt } = await short();
    using stream = await EventStream.open(`${auth.url}/v1/sessions/${id}/tail`, headers);
    await within("the stream ends", stream.ended);
    expectAt(endsAt);
    expect(stream.messages.map(({ event }) => event)).toEqual([undefined, "token_expired"]);
  });

  test("ends the lifecycle stream likewise", async () => {
    const { headers, endsAt } = await short();
    using stream = await EventStream.open(`${auth.url}/v1/lifecycle`, headers);
    await within("the stream ends", stream.ended);
    expectAt(endsAt);
    expect(stream.messages.at(-1)?.event).toBe("token_expired");
  });

  test("answers a long poll with 401", async () => {
    const { id, token, endsAt } = await short();
    const { status, json } = await auth.as(token).events(id, "?cursor=1&wait=30");
    expectAt(endsAt);
    expect([status, json.error, json.message]).toEqual([401, "unauthorized", "The token has expired."]);
  });

  test("answers a long poll of the lifecycle with 401", async () => {
    const { token, endsAt } = await short();
    const cursor = String((await api.call("GET", "/v1/lifecycle?limit=1000")).json.next_cursor);
    // A tenant where nothing else happens meanwhile.
    const quiet = await auth.token({ tenant_id: newId("quiet"), exp: Math.floor(endsAt / 1000) });
    const { status, json } = await auth.as(quiet).call("GET", `/v1/lifecycle?cursor=${cursor}&wait=30`);
    expectAt(endsAt);
    expect([status, json.error]).toEqual([401, "unauthorized"]);
    expect(token).not.toBe(quiet);
  });

  test("pushes token_expired and then phx_close: exactly that makes clients fetch a new one", async () => {
    const { id, token, endsAt } = await short();
    using client = new PhoenixClient(auth.url, { token });
    const [tail, feed] = [await client.join(`tail:${id}`), await client.join("lifecycle")];
    await eventually("both topics are closed", () => tail.isClosed && feed.isClosed);
    expectAt(endsAt);
    for (const topic of [tail, feed]) {
      expect(topic.of("token_expired")).toEqual([{ reason: "token_expired" }]);
      expect(topic.pushes.at(-1)?.event).toBe("phx_close");
      expect(topic.errors).toBe(0);
    }
    // The socket itself stays, for topics with tokens of their own.
    const again = await client.join(`tail:${id}`, { token: api.token, cursor: 1 });
    await api.append(id, eventBody(2));
    await again.reached(2);
  });

  test("ends a conversation's topic likewise, before there is one too", async () => {
    const { id, token, endsAt } = await short();
    using client = new PhoenixClient(auth.url, { endpoint: "/socket", token });
    const topics = [
      await client.join(`conversation:${id}`),
      await client.join(`conversation:${newId("never")}`),
    ];
    await eventually("the topics are closed", () => topics.every(({ isClosed }) => isClosed));
    expectAt(endsAt);
    for (const topic of topics) {
      expect(topic.pushes.map(({ event }) => event)).toEqual(["token_expired", "phx_close"]);
      expect(topic.errors).toBe(0);
    }
  });

  test("ends one topic and not its neighbours", async () => {
    const { id, token } = await short();
    using client = new PhoenixClient(auth.url, { token: api.token });
    const [ends, stays] = [await client.join(`tail:${id}`, { token }), await client.join("lifecycle")];
    await eventually("the topic is closed", () => ends.isClosed);
    expect(stays.isClosed).toBe(false);
  });

  test("is refused by every call from then on, with a second of leeway", async () => {
    const { id, token, endsAt } = await short();
    const mine = auth.as(token);
    expect((await mine.events(id)).status).toBe(200);
    await eventually("it is refused", async () => (await mine.events(id)).status === 401);
    expect(Date.now()).toBeGreaterThanOrEqual(endsAt);
    expect(Date.now()).toBeLessThan(endsAt + 2_000);
    expect((await mine.append(id, eventBody(2))).json.message).toBe("The token has expired.");
  });

  test("nothing that is appended after its end is seen with it", async () => {
    const { id, token, endsAt } = await short();
    using tail = await openTail(auth.url, id, `?access_token=${token}`);
    using client = new PhoenixClient(auth.url, { token });
    const channel = await client.join(`tail:${id}`);
    let last = 1;
    while (Date.now() < endsAt + 300) {
      if (Date.now() >= endsAt) expect((await api.append(id, eventBody(++last))).status).toBe(201);
      else await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await within("the tail ends", tail.closed);
    const late = [...tail.events, ...channel.events].filter(
      (event) => Date.parse(event.inserted_at) > endsAt + 50,
    );
    expect(last).toBeGreaterThan(1);
    expect(late).toEqual([]);
  });
});

test("what ended leaves nothing behind", async () => {
  for (const kind of ["websocket", "sse", "poll", "channel"] as const)
    await eventually(`no ${kind} is open`, async () => (await openTails(auth.opsUrl, kind)) === 0);
});
