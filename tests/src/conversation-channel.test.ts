import { eventBody, eventually, newDataDir, startServer, type TestServer } from "@daybook/test-kit";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChannelSocket } from "./support/channel-socket.js";
import { conversationPath, say, text } from "./support/conversation.js";
import { openTails } from "./support/metric.js";
import { PhoenixClient, type PhoenixOptions, type Subscription } from "./support/phoenix-client.js";

let server: TestServer;
beforeAll(async () => (server = await startServer({ store: "memory" })));
afterAll(() => server[Symbol.asyncDispose]());

let ids = 0;
const newId = (): string => `talk-${++ids}`;

/** A conversation with so many messages. */
async function conversation(messages = 0): Promise<string> {
  const id = newId();
  await server.call("PUT", conversationPath(id));
  for (let n = 1; n <= messages; n++) await say(server, id, `message ${n}`);
  return id;
}

const tombstone = (id: string): Promise<unknown> => server.call("DELETE", conversationPath(id));
const connect = (options: PhoenixOptions = {}): PhoenixClient =>
  new PhoenixClient(server.url, { endpoint: "/socket", ...options });

const seqsOf = (channel: Subscription): unknown[] => channel.of("message").map(({ seq }) => seq);
const kindsOf = (channel: Subscription): string[] => channel.pushes.map(({ event }) => event);

async function received(channel: Subscription, count: number): Promise<void> {
  await eventually(`${count} messages`, () => channel.of("message").length >= count);
}

describe.each([
  ["2.0.0", "/socket"],
  ["2.0.0", "/socket/websocket"],
  ["1.0.0", "/socket"],
  ["2.0.0", "/v1/socket"],
] as const)("the official phoenix client, serializer %s, at %s", (vsn, endpoint) => {
  test("gets each message from the join on, whole and in order", async () => {
    const id = await conversation(2);
    using client = connect({ vsn, endpoint });
    const channel = client.channel(`conversation:${id}`);
    expect(await channel.join()).toEqual({ status: "ok", response: { version: 2 } });
    await server.call("POST", `${conversationPath(id)}/messages`, {
      message: { ...text("assistant", "hello ✓"), metadata: { model: "m" }, token_count: 9 },
    });
    await say(server, id, "and again");
    await received(channel, 2);
    expect(channel.pushes).toEqual([
      {
        event: "message",
        payload: {
          type: "message",
          seq: 3,
          version: 3,
          message: { ...text("assistant", "hello ✓"), metadata: { model: "m" }, token_count: 9 },
        },
      },
      {
        event: "message",
        payload: {
          type: "message",
          seq: 4,
          version: 4,
          message: { ...text("user", "and again"), metadata: {}, token_count: 2 },
        },
      },
    ]);
  });

  test("is told of a tombstone", async () => {
    const id = await conversation();
    using client = connect({ vsn, endpoint });
    const channel = await client.join(`conversation:${id}`);
    await tombstone(id);
    await eventually("the tombstone", () => channel.pushes.length > 0);
    expect(channel.pushes).toEqual([{ event: "tombstone", payload: { type: "tombstone" } }]);
  });
});

describe("a conversation's channel", () => {
  test("can be joined before there is a conversation, and goes live once it is created", async () => {
    using client = connect();
    const byPut = newId();
    const bySession = newId();
    const channels = [
      await client.join(`conversation:${byPut}`),
      await client.join(`conversation:${bySession}`),
      await client.join(`conversation:${newId()}`),
    ];
    await server.call("PUT", conversationPath(byPut));
    await say(server, byPut, "one");
    await say(server, byPut, "two");
    await server.create({ id: bySession });
    await say(server, bySession, "one");
    await eventually("all three messages", () => channels.flatMap(seqsOf).length === 3);
    expect(channels.map(seqsOf)).toEqual([[1, 2], [1], []]);
  });

  test("replays from a seq, itself too, and then goes on live, without a gap or a repetition", async () => {
    const id = await conversation(5);
    const clients = [0, 1, 3, 5, 6].map((from) => ({ from, client: connect() }));
    const channels = await Promise.all(
      clients.map(({ from, client }) => client.join(`conversation:${id}`, { from })),
    );
    for (let n = 6; n <= 9; n++) await say(server, id, `message ${n}`);
    await Promise.all(channels.map((channel) => eventually("the last", () => seqsOf(channel).at(-1) === 9)));
    expect(channels.map((channel) => seqsOf(channel)[0])).toEqual([1, 1, 3, 5, 6]);
    for (const channel of channels) {
      const [first = 0] = seqsOf(channel) as number[];
      expect(seqsOf(channel)).toEqual(Array.from({ length: 9 - first + 1 }, (_, index) => first + index));
    }
    for (const { client } of clients) client[Symbol.dispose]();
  });

  test("shows messages by either dialect, and nothing else of the session", async () => {
    const id = await conversation();
    using client = connect();
    const channel = await client.join(`conversation:${id}`, { from: 1 });
    await server.append(id, eventBody(1));
    await server.append(id, eventBody(2, { type: "message", payload: { text: "no message" } }));
    await server.append(id, eventBody(3, { type: "message", payload: text("assistant", "hi") }));
    await server.append(id, eventBody(4));
    await say(server, id, "there");
    await received(channel, 2);
    expect(channel.pushes.map(({ payload }) => [payload["seq"], payload["version"]])).toEqual([
      [3, 3],
      [5, 5],
    ]);
  });

  test("is told of a tombstone behind the last message, also when it comes later or the conversation is opened again", async () => {
    const id = await conversation(3);
    using client = connect();
    const live = await client.join(`conversation:${id}`, { from: 1 });
    await tombstone(id);
    await eventually("the tombstone", () => live.of("tombstone").length === 1);
    expect(kindsOf(live)).toEqual(["message", "message", "message", "tombstone"]);
    using other = connect();
    const late = await other.join(`conversation:${id}`, { from: 2 });
    await eventually("the tombstone", () => late.of("tombstone").length === 1);
    expect(kindsOf(late)).toEqual(["message", "message", "tombstone"]);
    await server.call("PUT", conversationPath(id), { metadata: { open: "again" } });
    await say(server, id, "again");
    await tombstone(id);
    for (const channel of [live, late]) {
      await eventually("the other tombstone", () => channel.of("tombstone").length === 2);
      expect(kindsOf(channel).slice(-3)).toEqual(["tombstone", "message", "tombstone"]);
    }
  });

  test("says with a gap that a seq ahead of the end is of nothing, and goes on from the end", async () => {
    const id = await conversation(2);
    using client = connect();
    const channel = await client.join(`conversation:${id}`, { from: 9 });
    await say(server, id, "three");
    await received(channel, 1);
    expect(channel.pushes.map(({ payload }) => payload)).toMatchObject([
      { type: "gap", expected: 9, actual: 3 },
      { type: "message", seq: 3 },
    ]);
  });

  test("ends with a tombstone when the session is erased, and an erased one cannot be joined", async () => {
    const id = await conversation(1);
    using client = connect();
    const channel = await client.join(`conversation:${id}`);
    await server.call("DELETE", `/v1/sessions/${id}`);
    await eventually("the end", () => channel.isClosed);
    expect(channel.of("tombstone")).toHaveLength(1);
    using other = connect();
    expect(await other.channel(`conversation:${id}`).join()).toEqual({
      status: "error",
      response: { reason: "conversation_not_found" },
    });
  });

  test.each([["3"], [-1], [1.5], [null], [true], [{}]])("refuses from: %j", async (from) => {
    using socket = await ChannelSocket.open(server.url, {});
    expect(await socket.join(`conversation:${await conversation()}`, { from })).toBe("invalid_cursor");
  });

  test("refuses ids that are none, and pushes it does not know", async () => {
    using socket = await ChannelSocket.open(server.url, {});
    for (const id of ["", "a/b", "..", "x".repeat(257)])
      expect(await socket.join(`conversation:${id}`), id).toBe("invalid_session_id");
    const topic = `conversation:${await conversation()}`;
    expect(await socket.join(topic)).toBe("ok");
    expect(await socket.ask(topic, "append", {})).toEqual({
      status: "error",
      response: { reason: "unmatched event" },
    });
  });

  test("held back, gets everything all the same, in order", async () => {
    const id = await conversation();
    using socket = await ChannelSocket.open(server.url, {});
    const topic = `conversation:${id}`;
    expect(await socket.join(topic)).toBe("ok");
    socket.socket.pause();
    const filler = "x".repeat(4_000);
    for (let first = 1; first <= 3_000; first += 100) {
      const events = Array.from({ length: 100 }, (_, index) => ({
        ...eventBody(first + index),
        type: (first + index) % 3 === 0 ? "note" : "message",
        payload: text("assistant", `${filler} ${first + index}`),
      }));
      await server.append(id, { events });
    }
    await tombstone(id);
    socket.socket.resume();
    await socket.next("the tombstone", ({ event }) => event === "tombstone");
    const pushed = socket.of(topic, "message").map(({ payload }) => payload["seq"]);
    expect(pushed).toEqual(Array.from({ length: 3_000 }, (_, n) => n + 1).filter((n) => n % 3 !== 0));
    expect(socket.of(topic, "gap")).toEqual([]);
  });

  test("is left behind by nothing: joins and leaves, and the tails are gone", async () => {
    const id = await conversation(1);
    {
      using client = connect();
      const channel = await client.join(`conversation:${id}`);
      const waiting = await client.join(`conversation:${newId()}`);
      await Promise.all([channel.leave(), waiting.leave()]);
      await client.join(`conversation:${newId()}`);
    }
    await eventually("no tail is left", async () => (await openTails(server.opsUrl, "channel")) === 0);
  });

  test("answers a call that is no upgrade with what to do", async () => {
    for (const path of ["/socket/websocket", "/socket/websocket/websocket"]) {
      const { status, json } = await server.call("GET", path);
      expect([status, json.error]).toEqual([400, "invalid_websocket_upgrade"]);
    }
  });

  test("comes back to a server that was started again, from where the client says it is", async () => {
    const dataDir = await newDataDir();
    const first = await startServer({ dataDir });
    const port = Number(new URL(first.url).port);
    await first.call("PUT", conversationPath("c"));
    using client = new PhoenixClient(first.url, { endpoint: "/socket" });
    let next = 1;
    const channel = client.channel("conversation:c", () => ({ from: next }));
    channel.channel.on("message", ({ seq }: { seq: number }) => void (next = seq + 1));
    await channel.join();
    await say(first, "c", "one");
    await received(channel, 1);
    await first.close();
    const second = await startServer({ dataDir, settings: { port } });
    await say(second, "c", "two");
    await say(second, "c", "three");
    await received(channel, 3);
    expect(seqsOf(channel)).toEqual([1, 2, 3]);
    await second.close();
    await rm(dataDir, { recursive: true });
  });
});
