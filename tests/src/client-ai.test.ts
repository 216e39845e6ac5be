import { Daybook, DaybookError, type Session, type SessionEvent } from "@daybook/client";
import {
  type AgentTurn,
  type ChunkLike,
  readChat,
  readMessages,
  recordStream,
  runAgent,
  type RunAgentOptions,
} from "@daybook/client/ai";
import { eventually, Random, startServer, type TestServer, within } from "@daybook/test-kit";
import { readUIMessageStream, simulateReadableStream, type UIMessage, type UIMessageChunk } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { newId } from "./support/auth-server.js";

let server: TestServer;
beforeAll(async () => {
  server = await startServer({ store: "memory" });
});
afterAll(() => server[Symbol.asyncDispose]());

/** Each has a client of its own, as different processes would. */
const opened: Daybook[] = [];
afterAll(() => Promise.all(opened.map((daybook) => daybook.close({ timeoutMs: 0 }))));
function open(id: string, type: "user" | "agent", who: string): Promise<Session> {
  const daybook = new Daybook({ baseUrl: server.url, WebSocket });
  opened.push(daybook);
  return daybook.session({ id, identity: { type, id: who } });
}

const say = (session: Session, text: string): Promise<{ seq: number }> =>
  session.append({
    type: "chat.user.message",
    payload: {
      kind: "chat.user.message",
      message: { id: newId("m"), role: "user", parts: [{ type: "text", text }] },
    },
  });
const stop = (session: Session, more: object = {}): Promise<unknown> =>
  session.append({ type: "chat.stop", payload: { kind: "chat.stop", ...more } });

/** An answer in words, as the AI SDK streams it. */
const words = (...texts: string[]): UIMessageChunk[] => [
  { type: "start", messageId: newId("a") },
  { type: "text-start", id: "t" },
  ...texts.map((delta) => ({ type: "text-delta" as const, id: "t", delta })),
  { type: "text-end", id: "t" },
  { type: "finish" },
];
const streamOf = (chunks: UIMessageChunk[]): ReadableStream<UIMessageChunk> =>
  simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null });

/** A stream that goes on when it is told to. */
function controlled(): {
  stream: ReadableStream<UIMessageChunk>;
  send: (...chunks: UIMessageChunk[]) => void;
  end: () => void;
  fail: (error: unknown) => void;
  isCancelled: () => boolean;
} {
  let controller!: ReadableStreamDefaultController<UIMessageChunk>;
  let cancelled = false;
  const stream = new ReadableStream<UIMessageChunk>({
    start: (given) => void (controller = given),
    cancel: () => void (cancelled = true),
  });
  return {
    stream,
    send: (...chunks) => chunks.forEach((chunk) => cancelled || controller.enqueue(chunk)),
    end: () => cancelled || controller.close(),
    fail: (error) => controller.error(error),
    isCancelled: () => cancelled,
  };
}

const chunksOf = (events: readonly SessionEvent[]): ChunkLike[] =>
  events.flatMap(({ payload }) => (payload["chunk"] === undefined ? [] : [payload["chunk"] as ChunkLike]));
const typesOf = (events: readonly SessionEvent[]): string[] => chunksOf(events).map(({ type }) => type);
const textOf = (message: UIMessage | undefined): string =>
  (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : `<${part.type}>`)).join("");
const all = (session: Session): Promise<SessionEvent[]> => session.range(1, Infinity);
/** Waits for as many calls of the server, one after the other: whatever else is going on comes further meanwhile. */
const afterCalls = async (session: Session, count: number): Promise<void> => {
  for (let call = 0; call < count; call++) await session.before(Infinity, 1);
};
const messages = async (session: Session): Promise<UIMessage[]> =>
  readMessages<UIMessage>(await all(session), readUIMessageStream);
const openAnswers = (events: readonly SessionEvent[]): boolean[][] =>
  readChat(events).map(({ answers }) => answers.map(({ isOpen }) => isOpen));

describe("recordStream", () => {
  test("what was streamed is read back the same, in a few events, with one end", async () => {
    const session = await open(newId(), "agent", "drafter");
    const chunks = words(...Array.from("a whole answer, letter by letter"));
    const recorded = await recordStream(session, streamOf(chunks));
    const events = await all(session);
    expect(recorded).toEqual({ end: "finish", firstSeq: 1, lastSeq: events.length });
    expect(typesOf(events)).toEqual(["start", "text-start", "text-delta", "text-end", "finish"]);
    expect(textOf((await messages(session))[0])).toBe("a whole answer, letter by letter");
    expect(events[0]).toMatchObject({
      type: "chat.assistant.chunk",
      actor: "agent:drafter",
      payload: { kind: "chat.assistant.chunk", chunk: chunks[0] },
    });
  });

  test("deltas of different parts, and those that carry more, are kept apart", async () => {
    const session = await open(newId(), "agent", "drafter");
    const chunks: UIMessageChunk[] = [
      { type: "start" },
      { type: "reasoning-start", id: "r" },
      { type: "reasoning-delta", id: "r", delta: "think " },
      { type: "reasoning-delta", id: "r", delta: "more" },
      { type: "reasoning-delta", id: "r", delta: "!", providerMetadata: { p: { signature: "s" } } },
      { type: "reasoning-end", id: "r" },
      { type: "tool-input-start", toolCallId: "c", toolName: "read" },
      { type: "tool-input-delta", toolCallId: "c", inputTextDelta: '{"f":' },
      { type: "tool-input-delta", toolCallId: "c", inputTextDelta: '"x"}' },
      { type: "tool-input-available", toolCallId: "c", toolName: "read", input: { f: "x" } },
      { type: "tool-output-available", toolCallId: "c", output: "contents" },
      { type: "text-start", id: "1" },
      { type: "text-start", id: "2" },
      { type: "text-delta", id: "1", delta: "a" },
      { type: "text-delta", id: "2", delta: "b" },
      { type: "text-delta", id: "1", delta: "c" },
      { type: "text-end", id: "1" },
      { type: "text-end", id: "2" },
      { type: "finish" },
    ];
    await recordStream(session, streamOf(chunks));
    const written = chunksOf(await all(session));
    expect(written).toHaveLength(chunks.length - 2);
    expect(written[2]).toEqual({ type: "reasoning-delta", id: "r", delta: "think more" });
    expect(written[6]).toEqual({ type: "tool-input-delta", toolCallId: "c", inputTextDelta: '{"f":"x"}' });
    const direct: UIMessage[] = [];
    for await (const message of readUIMessageStream({ stream: streamOf(chunks) })) direct.push(message);
    const [read] = await messages(session);
    expect(read?.parts).toEqual(direct.at(-1)?.parts);
  });

  test("readers see it grow while it is written", async () => {
    const id = newId();
    const [agent, user] = [await open(id, "agent", "drafter"), await open(id, "user", "alice")];
    const seen: string[] = [];
    user.on("event", (event) => void seen.push(...typesOf([event])));
    const model = controlled();
    const recording = recordStream(agent, model.stream, { batchMs: 5 });
    model.send({ type: "start" }, { type: "text-start", id: "t" });
    await eventually("the start is seen", () => seen.length === 2);
    model.send({ type: "text-delta", id: "t", delta: "Hel" });
    await eventually("the first delta is seen", () => seen.length === 3);
    model.send({ type: "text-delta", id: "t", delta: "lo" }, { type: "finish" });
    await within("it is recorded", recording);
    await eventually("the end is seen", () => seen.at(-1) === "finish");
  });

  test("chat.stop ends it with one abort; what was written stays; the model is told", async () => {
    const id = newId();
    const [agent, user] = [await open(id, "agent", "drafter"), await open(id, "user", "alice")];
    await stop(user);
    const model = controlled();
    let signal: AbortSignal | undefined;
    const recording = recordStream(agent, (given) => ((signal = given), model.stream), {
      after: 1,
      batchMs: 5,
    });
    model.send(
      { type: "start" },
      { type: "text-start", id: "t" },
      { type: "text-delta", id: "t", delta: "Half" },
    );
    await eventually("something is written", async () => (await all(user)).length > 3);
    await stop(user, { actor: "agent:other" });
    expect(signal?.aborted).toBe(false);
    await stop(user);
    expect(await within("it ended", recording)).toMatchObject({ end: "abort" });
    expect(signal?.aborted).toBe(true);
    await eventually("the stream was given up", model.isCancelled);
    const events = await all(user);
    expect(typesOf(events)).toEqual(["start", "text-start", "text-delta", "abort"]);
    expect(textOf((await messages(user))[0])).toBe("Half");
  });

  test("a stream that says abort itself when it is stopped still has one end", async () => {
    const session = await open(newId(), "agent", "drafter");
    const abort = new AbortController();
    const model = controlled();
    const recording = recordStream(session, model.stream, { signal: abort.signal });
    model.send({ type: "start" }, { type: "abort" });
    model.end();
    abort.abort();
    await within("it ended", recording);
    expect(typesOf(await all(session)).filter((type) => type === "abort")).toHaveLength(1);
  });

  test("a stream that breaks off ends with an error that says nothing of the inside", async () => {
    const session = await open(newId(), "agent", "drafter");
    const model = controlled();
    const recording = recordStream(session, model.stream);
    model.send(
      { type: "start" },
      { type: "text-start", id: "t" },
      { type: "text-delta", id: "t", delta: "So" },
    );
    model.fail(new Error("password=secret"));
    const recorded = await within("it ended", recording);
    expect(recorded).toMatchObject({ end: "error", error: new Error("password=secret") });
    const written = JSON.stringify(await all(session));
    expect(written).toContain('"errorText":"The answer could not be finished."');
    expect(written).not.toContain("secret");
    expect(typesOf(await all(session)).at(-1)).toBe("error");
  });

  test("nothing is written after an end, and a stream that forgets its end gets one", async () => {
    const session = await open(newId(), "agent", "drafter");
    await recordStream(session, streamOf([{ type: "start" }, { type: "finish" }, { type: "start" }]));
    await recordStream(session, streamOf([{ type: "start" }]));
    await recordStream(session, streamOf([{ type: "error", errorText: "no" }, { type: "finish" }]));
    expect(typesOf(await all(session))).toEqual(["start", "finish", "start", "finish", "error"]);
  });

  test("a chunk that is too large ends the message with an error, and the session takes the next one", async () => {
    const session = await open(newId(), "agent", "drafter");
    const large: UIMessageChunk = { type: "data-file", data: "x".repeat(1_100_000) };
    await expect(
      recordStream(session, streamOf([{ type: "start" }, large, { type: "finish" }])),
    ).rejects.toMatchObject({
      code: "event_too_large",
    });
    expect(typesOf(await all(session)).at(-1)).toBe("error");
    await recordStream(session, streamOf(words("Well then")));
    expect(textOf((await messages(session)).at(-1))).toBe("Well then");
  });

  test("a stop that came before it ends nothing, also where nothing of the session has been seen", async () => {
    const id = newId();
    await stop(await open(id, "user", "alice"));
    const recorded = await recordStream(await open(id, "agent", "drafter"), streamOf(words("Hello")));
    expect(recorded.end).toBe("finish");
  });

  test("a stop while a tool runs: the call stays, and what comes of it afterwards is not written", async () => {
    const id = newId();
    const [agent, user] = [await open(id, "agent", "drafter"), await open(id, "user", "alice")];
    const model = controlled();
    const recording = recordStream(agent, model.stream, { batchMs: 1 });
    const call = { toolCallId: "c", toolName: "read" };
    model.send({ type: "start", messageId: "a" }, { type: "tool-input-available", ...call, input: {} });
    await eventually("the call is there", async () => typesOf(await all(user)).length === 2);
    await stop(user);
    expect(await within("it ended", recording)).toMatchObject({ end: "abort" });
    await eventually("the stream was given up", model.isCancelled);
    expect(typesOf(await all(user))).toEqual(["start", "tool-input-available", "abort"]);
    expect((await messages(user))[0]?.parts).toMatchObject([{ type: "tool-read", state: "input-available" }]);
  });

  test("thousands of chunks at once, and megabytes of them, are as many commits as it takes", async () => {
    const session = await open(newId(), "agent", "drafter");
    const many = Array.from({ length: 2_500 }, (_, n) => ({ type: "data-n" as const, id: `${n}`, data: n }));
    await recordStream(session, streamOf([{ type: "start" }, ...many, { type: "finish" }]), {
      batchMs: 1_000,
    });
    expect(chunksOf(await all(session))).toEqual([{ type: "start" }, ...many, { type: "finish" }]);
    const other = await open(newId(), "agent", "drafter");
    const large = Array.from({ length: 40 }, () => ({ type: "data-x" as const, data: "x".repeat(400_000) }));
    await recordStream(other, streamOf([...large, { type: "finish" }]), { batchMs: 1_000 });
    expect(typesOf(await all(other))).toEqual([...large.map(({ type }) => type), "finish"]);
  });

  test("a chunk that is refused while others are on their way behind it ends the message with an error", async () => {
    const session = await open(newId(), "agent", "drafter");
    const model = controlled();
    const recording = recordStream(session, model.stream, { batchMs: 0 });
    recording.catch(() => undefined);
    model.send({ type: "start" }, { type: "data-file", data: "x".repeat(1_100_000) });
    for (let n = 0; n < 20; n++) {
      model.send({ type: "data-n", id: `${n}`, data: n });
      // The timer of the batch, which was set before, fires before this one: each chunk is a commit of its own.
      await new Promise((resolve) => setTimeout(resolve));
    }
    model.send({ type: "finish" });
    await expect(within("it ended", recording)).rejects.toMatchObject({ code: "event_too_large" });
    const types = typesOf(await all(session));
    expect([types[0], types.at(-1), types.filter((type) => type === "error").length]).toEqual([
      "start",
      "error",
      1,
    ]);
    expect(types).not.toContain("data-file");
    expect(session.snapshot().outbox).toEqual({ state: "empty", pending: 0 });
    expect(await recordStream(session, streamOf(words("Well then")))).toMatchObject({ end: "finish" });
  });

  test("whatever a stream does, its message ends exactly once, and nothing follows the end", async () => {
    const session = await open(newId(), "agent", "drafter");
    const random = new Random(7);
    for (let round = 0; round < 40; round++) {
      const abort = new AbortController();
      const model = controlled();
      const [{ seq: before } = { seq: 0 }] = await session.before(Infinity, 1);
      const recording = recordStream(session, model.stream, {
        batchMs: random.upTo(3),
        signal: abort.signal,
      }).catch((error: unknown) => error);
      let isOver = false;
      for (let step = 0; step < 12 && !isOver; step++) {
        const what = random.weighted({
          text: 10,
          data: 6,
          finish: 2,
          error: 1,
          abort: 1,
          end: 2,
          fail: 1,
          stop: 2,
          wait: 4,
        });
        if (what === "text") model.send({ type: "text-delta", id: "t", delta: "x" });
        else if (what === "data") model.send({ type: "data-n", data: step });
        else if (what === "finish" || what === "abort") model.send({ type: what });
        else if (what === "error") model.send({ type: "error", errorText: "No." });
        else if (what === "stop") abort.abort();
        else if (what === "wait") await afterCalls(session, random.upTo(4));
        else {
          isOver = true;
          if (what === "end") model.end();
          else model.fail(new Error("broken"));
        }
      }
      if (!isOver && !abort.signal.aborted) model.end();
      await within(`round ${round} ended`, recording);
      const types = typesOf(await session.range(before + 1, Infinity));
      const ends = types.filter((type) => ["finish", "abort", "error"].includes(type));
      expect([ends.length, types.at(-1)], `round ${round}: ${types.join()}`).toEqual([1, ends[0]]);
    }
  });

  test("where the session cannot be followed, so that nobody could stop it, it says so at once", async () => {
    const native = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
    Reflect.deleteProperty(globalThis, "WebSocket");
    try {
      await using daybook = new Daybook({ baseUrl: server.url });
      const session = await daybook.session({ identity: daybook.agent({ id: "drafter" }) });
      const recording = recordStream(session, streamOf(words("Hello")));
      await expect(recording).rejects.toMatchObject({ code: "no_websocket" });
      expect(await all(session)).toEqual([]);
    } finally {
      if (native !== undefined) Object.defineProperty(globalThis, "WebSocket", native);
    }
  });

  test("two answers of one session object follow each other; two agents answer at once", async () => {
    const id = newId();
    const [one, two] = [await open(id, "agent", "one"), await open(id, "agent", "two")];
    const [first, second] = [controlled(), controlled()];
    const recordings = [
      recordStream(one, first.stream, { batchMs: 1 }),
      recordStream(one, streamOf(words("later"))),
      recordStream(two, second.stream, { batchMs: 1 }),
    ];
    const [start, ...rest] = words("inter", "leaved");
    for (const model of [first, second]) model.send(start!);
    await eventually("both have begun", async () => typesOf(await all(one)).length === 2);
    for (const chunk of rest) {
      first.send(chunk);
      second.send(chunk);
    }
    await within("all are recorded", Promise.all(recordings));
    expect((await messages(one)).map(textOf).sort()).toEqual(["interleaved", "interleaved", "later"]);
    expect(openAnswers(await all(one))).toEqual([[false], [false], [false]]);
  });
});

describe("runAgent", () => {
  /** Runs an agent until it is told to end. */
  function run(
    session: Session,
    handler: (turn: AgentTurn) => Promise<unknown>,
    options: RunAgentOptions = {},
  ): { readonly ended: Promise<void>; readonly end: () => Promise<void> } {
    const abort = new AbortController();
    const ended = runAgent(session, handler, { signal: abort.signal, batchMs: 1, ...options });
    ended.catch(() => undefined);
    return {
      ended,
      end: () => {
        abort.abort();
        return within("the agent ended", ended);
      },
    };
  }
  const echo = async ({ message, record }: AgentTurn): Promise<unknown> =>
    record(streamOf(words(`You said: ${textOf(message as UIMessage)}`)));
  const answers = async (session: Session): Promise<string[]> =>
    (await messages(session)).filter(({ role }) => role === "assistant").map(textOf);

  test("answers what was said before it came and after, with the conversation in hand", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    await say(user, "one");
    const seen: string[][] = [];
    const agent = run(await open(id, "agent", "echo"), async (turn) => {
      seen.push((await turn.messages<UIMessage>(readUIMessageStream)).map(textOf));
      await echo(turn);
    });
    await eventually("the first answer", async () => (await answers(user)).length === 1);
    await say(user, "two");
    await eventually("the second answer", async () => (await answers(user)).length === 2);
    await agent.end();
    expect(await answers(user)).toEqual(["You said: one", "You said: two"]);
    expect(seen).toEqual([["one"], ["one", "You said: one", "two"]]);
  });

  test("a worker that comes after another answers only what is new", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    await say(user, "one");
    const first = run(await open(id, "agent", "echo"), echo);
    await eventually("the first answer", async () => (await answers(user)).length === 1);
    await first.end();
    await say(user, "two");
    const second = run(await open(id, "agent", "echo"), echo);
    await eventually("the second answer", async () => (await answers(user)).length === 2);
    await say(user, "three");
    await eventually("the third answer", async () => (await answers(user)).length === 3);
    await second.end();
    expect(await answers(user)).toEqual(["You said: one", "You said: two", "You said: three"]);
  });

  test("a worker that died in mid-answer: its message is closed, and the question is answered", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    await say(user, "one");
    const hanging = controlled();
    hanging.send(
      { type: "start" },
      { type: "text-start", id: "t" },
      { type: "text-delta", id: "t", delta: "I was ab" },
    );
    // As good as dead: it never sends another chunk.
    const dead = run(await open(id, "agent", "echo"), ({ record }) => record(hanging.stream));
    await eventually("half an answer", async () => typesOf(await all(user)).includes("text-delta"));
    const next = run(await open(id, "agent", "echo"), echo);
    await eventually("an answer", async () => (await answers(user)).includes("You said: one"));
    await expect(within("the one before ended", dead.ended)).rejects.toMatchObject({
      code: "state_conflict",
    });
    await next.end();
    expect(await answers(user)).toEqual(["I was ab", "You said: one"]);
    expect(openAnswers(await all(user))).toEqual([[], [false], [false]]);
    expect(typesOf(await all(user)).filter((type) => type === "abort")).toHaveLength(1);
  });

  test("a worker that is taken over and hears nothing of it is refused, and ends", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    await say(user, "one");
    let isDeaf = false;
    class Deafened extends WebSocket {
      override emit(name: string, ...args: unknown[]): boolean {
        return isDeaf && name === "message" ? true : super.emit(name, ...args);
      }
    }
    await using daybook = new Daybook({ baseUrl: server.url, WebSocket: Deafened });
    const model = controlled();
    const start = words("I was ", "about to ", "say it.");
    model.send(...start.slice(0, 3));
    const deaf = run(await daybook.session({ id, identity: daybook.agent({ id: "echo" }) }), ({ record }) =>
      record(model.stream),
    );
    await eventually("half an answer", async () => typesOf(await all(user)).includes("text-delta"));
    isDeaf = true;
    const next = run(await open(id, "agent", "echo"), echo);
    await eventually("an answer", async () => (await answers(user)).includes("You said: one"));
    model.send(...start.slice(3));
    await expect(within("the one before ended", deaf.ended)).rejects.toMatchObject({
      code: "state_conflict",
    });
    await next.end();
    expect(await answers(user)).toEqual(["I was ", "You said: one"]);
  });

  test("stopped: the answer ends with abort, the question counts as handled, the next one is answered", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const hanging = controlled();
    hanging.send(
      { type: "start" },
      { type: "text-start", id: "t" },
      { type: "text-delta", id: "t", delta: "Well, " },
    );
    let turns = 0;
    const agent = run(await open(id, "agent", "echo"), (turn) =>
      ++turns === 1 ? turn.record(hanging.stream) : echo(turn),
    );
    await say(user, "one");
    await eventually("half an answer", async () => typesOf(await all(user)).includes("text-delta"));
    await stop(user);
    await say(user, "two");
    await eventually("the second answer", async () => (await answers(user)).length === 2);
    await agent.end();
    expect([turns, await answers(user)]).toEqual([2, ["Well, ", "You said: two"]]);
  });

  test("a handler that fails: readers see an error, the log hears of it, and the next question is answered", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const errors: unknown[] = [];
    let turns = 0;
    const agent = run(
      await open(id, "agent", "echo"),
      (turn) => {
        if (++turns === 1) throw new Error("no model");
        return echo(turn);
      },
      { onError: (error) => void errors.push(error), errorText: () => "Sorry." },
    );
    await say(user, "one");
    await say(user, "two");
    await eventually("the second answer", async () => (await answers(user)).includes("You said: two"));
    await agent.end();
    expect(errors).toEqual([new Error("no model")]);
    expect(chunksOf(await all(user)).slice(0, 2)).toEqual([
      { type: "start" },
      { type: "error", errorText: "Sorry." },
    ]);
  });

  test("a handler that records nothing has handled it all the same", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    await say(user, "one");
    let turns = 0;
    const count = (): Promise<number> => Promise.resolve(turns++);
    const first = run(await open(id, "agent", "quiet"), count);
    await eventually("it is handled", async () =>
      (await all(user)).some(({ type }) => type === "consumer.advanced"),
    );
    await first.end();
    const second = run(await open(id, "agent", "quiet"), count);
    await say(user, "two");
    await eventually("the next is handled", () => turns === 2);
    await second.end();
    expect(turns).toBe(2);
  });

  test("an edited question is answered anew, and so is one that is asked again", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const agent = run(await open(id, "agent", "echo"), echo);
    const ask = (text: string): Promise<{ seq: number }> =>
      user.append({
        type: "chat.user.message",
        payload: {
          kind: "chat.user.message",
          message: { id: "u1", role: "user", parts: [{ type: "text", text }] },
        },
      });
    const texts = async (): Promise<string[]> => (await messages(user)).map(textOf);
    for (const text of ["one", "one, please", "one, please"]) {
      const { seq } = await ask(text);
      await eventually("it is answered", async () =>
        (await all(user)).some((event) => event.seq > seq && typesOf([event])[0] === "finish"),
      );
      expect(await texts()).toEqual([text, `You said: ${text}`]);
    }
    await agent.end();
  });

  test("a tool's result that the user's side adds is a turn of its own, and the answer goes on in the same message", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const call = { toolCallId: "c", input: {} };
    const asked: string[] = [];
    const agent = run(await open(id, "agent", "weather"), async (turn) => {
      const originalMessages = await turn.messages<UIMessage>(readUIMessageStream);
      const last = originalMessages.at(-1);
      asked.push(`${turn.message.role} ${turn.message.id}`);
      // What \`toUIMessageStream({ originalMessages })\` does with ids.
      const start: UIMessageChunk = { type: "start", messageId: last?.role === "assistant" ? last.id : "a1" };
      const said = words("Rain in Graz.").slice(1, -1);
      await turn.record(
        streamOf(
          turn.message.role === "user"
            ? [start, { type: "tool-input-available", toolName: "here", ...call }, { type: "finish" }]
            : [start, ...said, { type: "finish" }],
        ),
      );
    });
    const seeded = {
      id: "a0",
      role: "assistant",
      parts: [{ type: "text", text: "Ask me about the weather." }],
    };
    const append = (message: object): Promise<unknown> =>
      user.append({
        type: "chat.user.message",
        payload: { kind: "chat.user.message", message },
      });
    // An assistant's message that completes none asks for nothing.
    await append(seeded);
    await say(user, "Weather?");
    await eventually("it asks where", async () => (await answers(user)).length === 2);
    const part = { type: "tool-here", ...call, state: "output-available", output: "Graz" };
    await append({ id: "a1", role: "assistant", parts: [part] });
    await eventually(
      "the rest of the answer",
      async () => (await answers(user))[1]?.includes("Rain") === true,
    );
    await agent.end();
    expect(asked).toEqual([expect.stringMatching(/^user m/), "assistant a1"]);
    expect(await answers(user)).toEqual(["Ask me about the weather.", "<tool-here>Rain in Graz."]);
    expect((await messages(user)).at(-1)?.parts[0]).toMatchObject(part);
  });

  test("which messages are answered can be said", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const agent = run(await open(id, "agent", "echo"), echo, {
      answers: (message) => textOf(message as UIMessage).startsWith("@echo"),
    });
    for (const text of ["hello", "@echo one", "never mind", "@echo two"]) await say(user, text);
    await eventually("both are answered", async () => (await answers(user)).length === 2);
    await agent.end();
    expect(await answers(user)).toEqual(["You said: @echo one", "You said: @echo two"]);
  });

  test("workers of one name started at once, and again when they are told to end, answer each question once", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const questions = Array.from({ length: 6 }, (_, n) => `question ${n}`);
    for (const question of questions.slice(0, 3)) await say(user, question);
    const random = new Random(3);
    const claims = async (): Promise<number> =>
      (await all(user)).filter(({ type }) => type === "consumer.claimed").length;
    let turns = 0;
    let takenOver = 0;
    const abort = new AbortController();
    const supervised = async (): Promise<void> => {
      while (!abort.signal.aborted) {
        const slowly = async (turn: AgentTurn): Promise<void> => {
          if (turns++ === 0) await eventually("another comes", async () => (await claims()) > 1);
          await afterCalls(turn.session, random.upTo(10));
          await echo(turn);
        };
        const worker = run(await open(id, "agent", "echo"), slowly, { signal: abort.signal });
        await worker.ended.catch((error: unknown) => {
          expect(error).toMatchObject({ code: "state_conflict" });
          takenOver++;
        });
      }
    };
    const supervisors = [1, 2, 3].map(supervised);
    for (const question of questions.slice(3)) await say(user, question);
    const finished = async (): Promise<number> =>
      typesOf(await all(user)).filter((type) => type === "finish").length;
    await eventually("all are answered", async () => (await finished()) === questions.length);
    abort.abort();
    await within("all have ended", Promise.all(supervisors));
    expect(await finished()).toBe(questions.length);
    expect(takenOver).toBeGreaterThan(0);
    const whole = (await answers(user)).filter((text) => text.startsWith("You said: question "));
    expect(whole.sort()).toEqual(questions.map((question) => `You said: ${question}`));
    expect(openAnswers(await all(user)).flat()).not.toContain(true);
  });

  test("a handler that fails for another session's sake, or writes what is too large, has had its turn", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const codes: unknown[] = [];
    const turns: string[] = [];
    const large: UIMessageChunk = { type: "data-file", data: "x".repeat(1_100_000) };
    const handler = async (turn: AgentTurn): Promise<unknown> => {
      const text = textOf(turn.message as UIMessage);
      turns.push(text);
      if (text === "large") return turn.record(streamOf([{ type: "start" }, large, { type: "finish" }]));
      if (text === "other") throw new DaybookError("session_not_found", "Another one.", { status: 404 });
      return echo(turn);
    };
    const options = {
      onError: (error: unknown) => void codes.push((error as { readonly code?: unknown }).code),
    };
    const agent = run(await open(id, "agent", "echo"), handler, options);
    for (const text of ["large", "other", "fine"]) await say(user, text);
    await eventually("the last is answered", async () => (await answers(user)).includes("You said: fine"));
    await agent.end();
    expect(codes).toEqual(["event_too_large", "session_not_found"]);
    const next = run(await open(id, "agent", "echo"), handler, options);
    await say(user, "again");
    await eventually("it goes on", async () => (await answers(user)).includes("You said: again"));
    await next.end();
    expect(turns).toEqual(["large", "other", "fine", "again"]);
  });

  test("a worker that takes over leaves alone what the same agent writes under another name", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const model = controlled();
    const slow = run(await open(id, "agent", "bot"), ({ record }) => record(model.stream), {
      consumer: "slow",
    });
    const start = words("It takes ", "a while.");
    await say(user, "one");
    model.send(...start.slice(0, 3));
    await eventually("half an answer", async () => typesOf(await all(user)).includes("text-delta"));
    const quick = [1, 2].map(async () => run(await open(id, "agent", "bot"), echo, { consumer: "quick" }));
    await eventually("the other answers", async () => (await answers(user)).includes("You said: one"));
    model.send(...start.slice(3));
    await eventually("the first goes on", async () => (await answers(user)).includes("It takes a while."));
    await slow.end();
    for (const one of await Promise.all(quick)) await one.end().catch(() => undefined);
    expect(typesOf(await all(user)).filter((type) => type === "finish").length).toBeGreaterThan(1);
  });

  test("agents of different names answer the same question, each once", async () => {
    const id = newId();
    const user = await open(id, "user", "alice");
    const agents = await Promise.all(
      ["one", "two"].map(async (who) => run(await open(id, "agent", who), echo)),
    );
    await say(user, "hi");
    await eventually("both answer", async () => (await answers(user)).length === 2);
    await Promise.all(agents.map(({ end }) => end()));
    expect(await answers(user)).toEqual(["You said: hi", "You said: hi"]);
  });
});
