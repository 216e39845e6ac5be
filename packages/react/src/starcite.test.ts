import { Client, Page } from "./page.test.support.js";
import type { SessionEvent } from "@daybook/client";
import { recordStream } from "@daybook/client/ai";
import { eventually, Random, startServer } from "@daybook/test-kit";
import type { UIMessage, UIMessageChunk } from "ai";
import * as React from "react";
import * as client from "react-dom/client";
import * as dom from "react-dom/server";
import { describe, expect, test } from "vitest";
import type { MessageReader } from "./answer.js";
import { ChatLog } from "./chat-log.js";
import { messagesOf } from "./local-messages.js";
import { READERS, Script, textOf } from "./session-events.test.support.js";
import { useDaybookChat } from "./use-daybook-chat.js";

/*
 * The React hook of Starcite writes a chat as `chat.user.message` and `chat.assistant.chunk`, and reads it thus: envelopes
 * that are malformed are passed over; all chunks between two user messages go, in the order of their seqs, through one
 * `readUIMessageStream`; the status is `submitted` until a chunk comes, and `streaming` while the newest one is not
 * `finish` or `abort`.
 */
interface Envelope {
  readonly kind?: unknown;
  readonly message?: UIMessage;
  readonly chunk?: UIMessageChunk;
}

async function readAsStarcite(
  events: readonly SessionEvent[],
  read: MessageReader<UIMessage>,
): Promise<{ readonly messages: UIMessage[]; readonly status: string }> {
  const turns: (UIMessage | UIMessageChunk[])[] = [];
  let status = "ready";
  for (const { type, payload } of events) {
    const { kind, message, chunk } = payload as Envelope;
    if (kind !== type) continue;
    if (type === "chat.user.message" && Array.isArray(message?.parts)) {
      turns.push(message);
      status = "submitted";
    }
    if (type !== "chat.assistant.chunk" || typeof chunk?.type !== "string") continue;
    const last = turns.at(-1);
    if (Array.isArray(last)) last.push(chunk);
    else turns.push([chunk]);
    status = chunk.type === "finish" || chunk.type === "abort" ? "ready" : "streaming";
  }
  const messages: UIMessage[] = [];
  for (const turn of turns) messages.push(...(Array.isArray(turn) ? await answerOf(turn, read) : [turn]));
  return { messages, status };
}

async function answerOf(chunks: UIMessageChunk[], read: MessageReader<UIMessage>): Promise<UIMessage[]> {
  const stream = new ReadableStream<UIMessageChunk>({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue({ ...chunk });
      controller.close();
    },
  });
  let last: UIMessage | undefined;
  for await (const message of read({ stream, onError: () => undefined })) last = message;
  return last === undefined ? [] : [last];
}

async function readHere(
  events: readonly SessionEvent[],
  read: MessageReader<UIMessage>,
): Promise<{ readonly messages: UIMessage[]; readonly status: string }> {
  const log = new ChatLog(read);
  for (const event of events) log.push(event);
  await log.settled();
  return { messages: messagesOf(log.entries), status: log.standing.status };
}

/** What is said, without the ids that each reader makes up, and without answers that have begun and say nothing yet. */
const spoken = (messages: readonly UIMessage[]): unknown =>
  JSON.parse(
    JSON.stringify(
      messages
        .filter(({ role, parts }) => role !== "assistant" || parts.length > 0)
        .map(({ role, parts, metadata }) => ({ role, parts, metadata })),
    ),
  );

/** An agent may name its messages, or not, or leave the start out altogether. */
const BEGINNINGS: readonly ((n: number) => UIMessageChunk[])[] = [
  (n) => [{ type: "start", messageId: `a${n}` }],
  () => [{ type: "start", messageMetadata: { model: "small" } }],
  () => [{ type: "start" }, { type: "start-step" }],
  () => [],
];

/** One answer of a model. */
function answer(random: Random, n: number, begin = random.pick(BEGINNINGS)): UIMessageChunk[] {
  const tool: UIMessageChunk[] = [
    { type: "tool-input-start", toolCallId: `t${n}`, toolName: "look" },
    { type: "tool-input-delta", toolCallId: `t${n}`, inputTextDelta: '{"at":1}' },
    { type: "tool-input-available", toolCallId: `t${n}`, toolName: "look", input: { at: 1 } },
    { type: "tool-output-available", toolCallId: `t${n}`, output: { found: n } },
  ];
  const reasoning: UIMessageChunk[] = [
    { type: "reasoning-start", id: "r" },
    { type: "reasoning-delta", id: "r", delta: "Hm." },
    { type: "reasoning-end", id: "r" },
  ];
  const text: UIMessageChunk[] = [
    { type: "text-start", id: "x" },
    ...Array.from({ length: random.between(1, 4) }, (_, w): UIMessageChunk => ({
      type: "text-delta",
      id: "x",
      delta: `w${w} `,
    })),
    { type: "text-end", id: "x" },
  ];
  const end: readonly UIMessageChunk[][] = [[{ type: "finish" }], [{ type: "abort" }], []];
  return [
    ...begin(n),
    ...(random.chance(0.4) ? reasoning : []),
    ...(random.chance(0.4) ? tool : []),
    ...text,
    ...(random.chance(0.3) ? [{ type: "data-note", data: { n } } as UIMessageChunk] : []),
    ...random.pick(end),
  ];
}

/** What somebody's hook and one agent have written, with what else may stand in a session. */
function written(seed: number): SessionEvent[] {
  const random = new Random(seed);
  const script = new Script();
  const begin = random.pick(BEGINNINGS);
  for (let n = 0; n < 6; n++) {
    script.message({
      id: `u${n}`,
      role: random.pick(["user", "user", "system"] as const),
      parts: [{ type: "text", text: `Question ${n}` }],
      ...(random.chance(0.3) && { metadata: { from: "phone" } }),
      ...({ unknown: { kept: true } } as object),
    });
    const chunks = answer(random, n, begin);
    for (const chunk of chunks.slice(0, random.chance(0.1) ? 2 : undefined)) {
      if (random.chance(0.1)) script.event("content", { text: "beside it" });
      if (random.chance(0.1))
        script.event("chat.assistant.chunk", { kind: "other", chunk: { type: "finish" } });
      if (random.chance(0.1))
        script.event("chat.assistant.chunk", { kind: "chat.assistant.chunk", chunk: null });
      if (random.chance(0.1))
        script.event("chat.user.message", { kind: "chat.user.message", message: { id: "x" } });
      script.chunk(chunk);
    }
  }
  return script.events;
}

describe.each(READERS)("with %s", (_, read) => {
  test("chats that Starcite's hook wrote are read as it reads them, after each event", async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const events = written(seed);
      for (let length = 0; length <= events.length; length += 2 + (seed % 4)) {
        const known = events.slice(0, length);
        const [theirs, ours] = [await readAsStarcite(known, read), await readHere(known, read)];
        expect(spoken(ours.messages), `seed ${seed}, ${length} events`).toEqual(spoken(theirs.messages));
        // A system message asks for nothing, so here nobody waits after one.
        const asked = theirs.messages.findLast(({ role }) => role !== "assistant");
        if (asked?.role === "user") expect(ours.status, `seed ${seed}, ${length} events`).toBe(theirs.status);
      }
    }
  });
});

test("what is unknown in an envelope and in a message survives", async () => {
  const script = new Script().event("chat.user.message", {
    kind: "chat.user.message",
    version: 7,
    message: { id: "u1", role: "user", parts: [{ type: "text", text: "Hi", shade: "red" }], mood: "good" },
  });
  const { messages } = await readHere(script.events, READERS[1]![1]);
  expect(messages).toEqual([
    { id: "u1", role: "user", parts: [{ type: "text", text: "Hi", shade: "red" }], mood: "good" },
  ]);
});

test("a chat that is written here reads the same in Starcite's hook", async () => {
  await using server = await startServer({ store: "memory" });
  await using user = new Client(server);
  await using worker = new Client(server);
  const id = await server.create();
  const [session, agent] = [await user.session(id), await worker.session(id, "agent:a")];
  using page = new Page({ name: "19", React, client, server: dom }, () => useDaybookChat({ session })).open();
  await page.until("it is open", ({ isLoading }) => !isLoading);
  const random = new Random(7);
  for (let n = 0; n < 4; n++) {
    await page.now.sendMessage({ text: `Question ${n}`, metadata: { n } });
    await recordStream(agent, streamOf(answer(random, n)), { batchMs: 1 });
    const count = 2 * n + 2;
    await page.until(
      "it is answered",
      ({ messages, status }) => messages.length === count && status === "ready",
    );
  }
  await page.now.sendMessage({ text: "Count." });
  const told = new TransformStream<UIMessageChunk, UIMessageChunk>();
  const writer = told.writable.getWriter();
  const recorded = recordStream(agent, told.readable, { batchMs: 1 });
  void writer.write({ type: "start" });
  void writer.write({ type: "text-start", id: "x" });
  void writer.write({ type: "text-delta", id: "x", delta: "One " });
  await page.until("it counts", ({ messages }) => textOf(messages.at(-1)) === "One ");
  await page.now.stop();
  expect((await recorded).end).toBe("abort");
  await eventually("all is read", () => page.now.cursor === session.cursor);
  const events = (await server.allEvents(id)) as unknown as SessionEvent[];
  for (const [, read] of READERS) {
    const theirs = await readAsStarcite(events, read);
    expect(spoken(theirs.messages)).toEqual(spoken(page.now.messages));
    expect(theirs.status).toBe(page.now.status);
  }
  for (const { type, payload } of events) expect(payload.kind).toBe(type);
});

async function* streamOf(chunks: readonly UIMessageChunk[]): AsyncGenerator<UIMessageChunk> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}
