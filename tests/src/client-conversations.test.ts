import {
  type Conversation,
  type ClientOptions,
  type ConversationsClient,
  createClient,
  DaybookError,
  type Message,
} from "@daybook/client/conversations";
import { eventBody, eventually, newDataDir, startServer, within } from "@daybook/test-kit";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { conversationPath, say, text, textOf } from "./support/conversation.js";

let auth: AuthServer;
let api: TokenApi;
let apiKey: string;
beforeAll(async () => {
  auth = await AuthServer.start();
  api = await auth.service();
  apiKey = (await auth.key()).key;
});
afterAll(() => auth[Symbol.asyncDispose]());

const client = (more: Partial<ClientOptions> = {}): ConversationsClient =>
  createClient({ baseUrl: `${auth.url}/`, apiKey, WebSocket, ...more });

const failure = (promise: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(promise).then(
    () => expect.fail("it should have failed"),
    (error: unknown) => error,
  );

describe("a client of conversations", () => {
  test("creates, appends, reads and tombstones", async () => {
    using conversations = client();
    const id = newId();
    const convo = await conversations.conversation(id, { metadata: { channel: "web" } });
    expect(await convo.append(text("user", "Hello!"))).toEqual({ seq: 1, version: 1, token_count: 1 });
    const options = { ifVersion: 1, tokenCount: 7, metadata: { model: "m" } };
    expect(await convo.append(text("assistant", "Hi."), options)).toEqual({
      seq: 2,
      version: 2,
      token_count: 7,
    });
    expect((await convo.tail({ limit: 1, offset: 1 })).messages.map(textOf)).toEqual(["Hello!"]);
    expect((await convo.replay({ from: 2, limit: 5 })).messages).toMatchObject([
      { seq: 2, role: "assistant", token_count: 7, metadata: { model: "m" } },
    ]);
    expect(await conversations.getConversation(id)).toMatchObject({
      id,
      version: 2,
      tombstoned: false,
      metadata: { channel: "web" },
    });
    await conversations.tombstoneConversation(id);
    expect(await failure(convo.append(text("user", "more")))).toMatchObject({
      code: "conversation_tombstoned",
      status: 410,
    });
    expect((await convo.tail()).messages).toHaveLength(2);
  });

  test("finds a conversation that is there, and leaves its metadata alone unless other is given", async () => {
    using conversations = client();
    const id = newId();
    await conversations.conversation(id, { metadata: { a: 1 } });
    await conversations.conversation(id);
    expect((await conversations.getConversation(id)).metadata).toEqual({ a: 1 });
    await conversations.conversation(id, { metadata: { b: 2 } });
    expect((await conversations.getConversation(id)).metadata).toEqual({ b: 2 });
  });

  test("can use a conversation at once, without awaiting it first", async () => {
    using conversations = client();
    const convo = conversations.conversation(newId());
    expect(await convo.append(text("user", "at once"))).toMatchObject({ seq: 1 });
    expect((await convo.tail()).messages.map(textOf)).toEqual(["at once"]);
  });

  test("says what is wrong, by code, to whoever waits", async () => {
    using conversations = client();
    const convo = conversations.conversation(newId());
    expect(await failure(convo.append({ role: "user", parts: [] }))).toMatchObject({
      code: "invalid_message",
    });
    await convo.append(text("user", "one"));
    const conflict = await failure(convo.append(text("user", "two"), { ifVersion: 9 }));
    expect(conflict).toBeInstanceOf(DaybookError);
    expect(conflict).toMatchObject({ code: "conflict", message: "Version mismatch (current: 1)" });
    expect(await failure(conversations.getConversation(newId()))).toMatchObject({
      code: "conversation_not_found",
    });
    expect(await failure(conversations.tombstoneConversation(newId()))).toMatchObject({ status: 404 });
    using stranger = client({ apiKey: "no.good.key" });
    const shut = stranger.conversation(newId());
    expect(await failure(shut)).toMatchObject({ code: "unauthorized" });
    expect(await failure(shut.tail())).toMatchObject({ code: "unauthorized" });
  });

  test("appends once although an answer was lost and the call was sent again", async () => {
    let lost = 2;
    const fetchAndLose: ClientOptions["fetch"] = async (url, init) => {
      const answer = await fetch(url, init);
      if (init.method === "POST" && lost-- > 0) throw new TypeError("the connection broke");
      return answer;
    };
    using conversations = client({ fetch: fetchAndLose });
    const convo = await conversations.conversation(newId());
    expect(await convo.append(text("user", "once"), { ifVersion: 0 })).toMatchObject({ seq: 1 });
    expect((await convo.tail()).messages).toHaveLength(1);
    const key = { idempotencyKey: "of the caller" };
    const [one, other] = [
      await convo.append(text("user", "two"), key),
      await convo.append(text("user", "two"), key),
    ];
    expect([one.seq, other.seq]).toEqual([2, 2]);
  });

  test("walks all messages, page by page", async () => {
    using conversations = client();
    const id = newId();
    const convo = await conversations.conversation(id);
    const events = Array.from({ length: 250 }, (_, n) =>
      eventBody(n + 1, { type: n % 2 === 0 ? "message" : "note", payload: text("user", `${n + 1}`) }),
    );
    await api.append(id, { events });
    const seqs: number[] = [];
    for await (const { seq } of convo.messages({ from: 3 })) seqs.push(seq);
    expect(seqs).toEqual(Array.from({ length: 124 }, (_, n) => 3 + 2 * n));
  });
});

/** What a stream yields, as it comes. */
class Reading {
  readonly messages: Message[] = [];
  readonly ended: Promise<unknown>;
  private readonly abort = new AbortController();

  constructor(convo: Conversation, options: { readonly from?: number } = {}, pace = Promise.resolve()) {
    this.ended = (async () => {
      for await (const message of convo.stream({ ...options, signal: this.abort.signal })) {
        this.messages.push(message);
        await pace;
      }
    })().catch((error: unknown) => error);
  }

  get texts(): string[] {
    return this.messages.map(textOf);
  }

  async reached(content: string): Promise<void> {
    await eventually(`${content} is read`, () => this.texts.includes(content));
  }

  stop(): Promise<unknown> {
    this.abort.abort();
    return within("the stream ends", this.ended);
  }
}

describe("a stream of messages", () => {
  test("gives what is appended from now on, or from a seq on, and ends when it is told to", async () => {
    using conversations = client();
    const id = newId();
    const convo = await conversations.conversation(id);
    await convo.append(text("user", "one"));
    const all = new Reading(convo, { from: 0 });
    const live = new Reading(convo);
    await all.reached("one");
    await eventually("the second is appended and read", async () => {
      // Until the other stream has joined, nothing is new to it.
      if (live.texts.length === 0) await say(api, id, "two");
      return live.texts.length > 0;
    });
    await all.reached("two");
    expect(live.texts[0]).toBe("two");
    expect(live.messages[0]).toMatchObject({
      role: "user",
      metadata: {},
      inserted_at: expect.any(String) as string,
    });
    expect([await all.stop(), await live.stop()]).toEqual([undefined, undefined]);
    expect(all.texts.slice(0, 2)).toEqual(["one", "two"]);
  });

  test("ends behind the last message when the conversation is tombstoned", async () => {
    using conversations = client();
    const id = newId();
    const convo = await conversations.conversation(id);
    const reading = new Reading(convo, { from: 1 });
    for (let n = 1; n <= 5; n++) await say(api, id, `${n}`);
    await conversations.tombstoneConversation(id);
    expect(await within("the stream ends", reading.ended)).toBeUndefined();
    expect(reading.texts).toEqual(["1", "2", "3", "4", "5"]);
    const late = new Reading(convo, { from: 4 });
    expect(await within("the stream ends", late.ended)).toBeUndefined();
    expect(late.texts).toEqual(["4", "5"]);
  });

  test("ends with what is wrong when its token has ended", async () => {
    const id = newId();
    const token = await auth.token({ exp: Math.ceil(Date.now() / 1000) + 1 });
    using conversations = client({ apiKey: token });
    const reading = new Reading(conversations.conversation(id), { from: 1 });
    expect(await within("the stream ends", reading.ended)).toMatchObject({ isAuth: true });
  });

  test("held back by its own loop, gets everything all the same, in order", async () => {
    using conversations = client();
    const id = newId();
    const convo = await conversations.conversation(id);
    let goOn: () => void = () => undefined;
    const reading = new Reading(convo, { from: 1 }, new Promise((resolve) => (goOn = resolve)));
    for (let first = 1; first <= 1_000; first += 100) {
      const events = Array.from({ length: 100 }, (_, n) =>
        eventBody(first + n, { type: "message", payload: text("user", `${first + n}`) }),
      );
      await api.append(id, { events });
    }
    goOn();
    await reading.reached("1000");
    await reading.stop();
    expect(reading.texts).toEqual(Array.from({ length: 1_000 }, (_, n) => `${n + 1}`));
  });

  test("goes on over a restart of the server without a gap or a repetition", async () => {
    const dataDir = await newDataDir();
    const first = await startServer({ dataDir });
    const port = Number(new URL(first.url).port);
    using conversations = createClient({ baseUrl: first.url, WebSocket });
    const convo = await conversations.conversation("c");
    const reading = new Reading(convo, { from: 1 });
    for (let n = 1; n <= 5; n++) await say(first, "c", `${n}`);
    await reading.reached("5");
    await first.close();
    const second = await startServer({ dataDir, settings: { port } });
    for (let n = 6; n <= 10; n++) await say(second, "c", `${n}`);
    await reading.reached("10");
    await reading.stop();
    expect(reading.texts).toEqual(Array.from({ length: 10 }, (_, n) => `${n + 1}`));
    await second.close();
    await rm(dataDir, { recursive: true });
  });

  test("needs a WebSocket, and says so", async () => {
    using conversations = createClient({ baseUrl: auth.url, apiKey });
    const convo = await conversations.conversation(newId());
    const reading = new Reading(convo);
    const outcome = within("the stream ends", reading.ended);
    // A Node that has one needs none.
    if ("WebSocket" in globalThis) await reading.stop();
    else expect(await outcome).toMatchObject({ code: "no_websocket" });
    expect((await api.call("GET", conversationPath(convo.id))).status).toBe(200);
  });
});
