import type { SessionEvent } from "@daybook/client";
import { type MessageReader as ClientReader, readMessages } from "@daybook/client/ai";
import { beginning, ENDING, words } from "@daybook/test-kit";
import type { UIMessage } from "ai";
import { describe, expect, test } from "vitest";
import type { MessageReader } from "./answer.js";
import { ChatLog } from "./chat-log.js";
import { READERS, Script, textOf } from "./session-events.test.support.js";

async function logOf(
  read: MessageReader<UIMessage>,
  events: readonly SessionEvent[],
): Promise<ChatLog<UIMessage>> {
  const log = new ChatLog(read);
  for (const event of events) log.push(event);
  await log.settled();
  // What a page shows is what an agent is given.
  const whole = await readMessages(events, read as ClientReader<UIMessage>);
  expect(log.entries.flatMap(({ message }) => message ?? [])).toEqual(whole);
  return log;
}

const shown = (log: ChatLog<UIMessage>): string[] =>
  log.entries.map(({ id, message }) => `${message?.role ?? "unread"} ${id}: ${textOf(message)}`);

describe.each(READERS)("a chat read by %s", (_, read) => {
  test("is its messages in the order in which they began", async () => {
    const { events } = new Script()
      .says("u1", "What is in the box?")
      .answers("a1", "A cat, perhaps.")
      .says("u2", "Open it.")
      .answers("a2", "No.");
    const log = await logOf(read, events);
    expect(shown(log)).toEqual([
      "user u1: What is in the box?",
      "assistant a1: A cat, perhaps.",
      "user u2: Open it.",
      "assistant a2: No.",
    ]);
    expect(log.entries[1]).toMatchObject({ actor: "agent:a", seq: 2, insertedAt: events[1]?.inserted_at });
    expect(log.standing.status).toBe("ready");
  });

  test("grows with every chunk, and what does not change stays the same object", async () => {
    const script = new Script().says("u1", "Count.").answers("a1", "One.").says("u2", "Go on.");
    const log = await logOf(read, script.events);
    const before = log.entries.map(({ message }) => message);
    const seen = new Set<string>();
    for (const chunk of [...beginning("a2"), ...words("two three four"), ...ENDING]) {
      script.chunk(chunk);
      log.push(script.events.at(-1)!);
      await log.settled();
      expect(log.entries.slice(0, 3).map(({ message }) => message)).toEqual(before);
      for (const [n, message] of before.entries()) expect(log.entries[n]?.message).toBe(message);
      seen.add(textOf(log.entries[3]?.message));
    }
    expect([...seen]).toEqual(["", "two ", "two three ", "two three four"]);
  });

  test("lets two agents answer at once, each in a message of its own", async () => {
    const [a, b] = [{ actor: "agent:a" }, { actor: "agent:b" }];
    const script = new Script().says("u1", "Hello");
    const [first, second] = [
      [...beginning("a1"), ...words("one two three"), ...ENDING],
      [...beginning("b1"), ...words("uno due tre"), ...ENDING],
    ];
    for (const [n, chunk] of first.entries()) script.chunk(chunk, a).chunk(second[n]!, b);
    const log = await logOf(read, script.events);
    expect(shown(log)).toEqual([
      "user u1: Hello",
      "assistant a1: one two three",
      "assistant b1: uno due tre",
    ]);
    expect(log.entries.map(({ actor }) => actor)).toEqual(["user:alice", "agent:a", "agent:b"]);
  });

  test("tells two workers of one agent apart by their producers", async () => {
    const [p, q] = [{ producer: "p" }, { producer: "q" }];
    const script = new Script().says("u1", "Hello").chunks([...beginning("a1"), ...words("It was")], p);
    script.chunks([...beginning("a2"), ...words("Once more."), ...ENDING], q).chunk({ type: "abort" }, p);
    const log = await logOf(read, script.events);
    expect(shown(log)).toEqual(["user u1: Hello", "assistant a1: It was", "assistant a2: Once more."]);
    expect(log.standing.status).toBe("ready");
  });

  test("shows tool calls as the reader makes them", async () => {
    const { events } = new Script()
      .says("u1", "Read it.")
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "start-step" },
        { type: "tool-input-start", toolCallId: "t", toolName: "readFile" },
        { type: "tool-input-delta", toolCallId: "t", inputTextDelta: '{"path":"REA' },
        { type: "tool-input-available", toolCallId: "t", toolName: "readFile", input: { path: "README.md" } },
        { type: "tool-output-available", toolCallId: "t", output: { lines: 3 } },
        { type: "finish-step" },
        { type: "start-step" },
        { type: "text-start", id: "0" },
        ...words("Three lines."),
        ...ENDING,
      ]);
    const log = await logOf(read, events);
    expect(log.entries[1]?.message?.parts).toMatchObject([
      { type: "step-start" },
      {
        type: "tool-readFile",
        toolCallId: "t",
        state: "output-available",
        input: { path: "README.md" },
        output: { lines: 3 },
      },
      { type: "step-start" },
      { type: "text", text: "Three lines." },
    ]);
  });

  test("data parts with an id are replaced by later ones, and the events stay as they were", async () => {
    const { events } = new Script().chunks([
      { type: "start", messageId: "a1" },
      { type: "data-progress", id: "p", data: { percent: 10 } },
      { type: "data-progress", id: "p", data: { percent: 90 } },
      { type: "finish" },
    ]);
    const copy = structuredClone(events);
    const log = await logOf(read, events);
    expect(log.entries[0]?.message?.parts).toMatchObject([{ type: "data-progress", data: { percent: 90 } }]);
    expect(events).toEqual(copy);
  });

  test("an answer without ids and without `start` is one, until a user message or its end", async () => {
    const { events } = new Script()
      .chunks([{ type: "text-start", id: "0" }, ...words("No start."), ...ENDING])
      .chunks([{ type: "text-start", id: "0" }, ...words("No end.")])
      .says("u1", "Hm?")
      .chunks([{ type: "start" }, { type: "text-start", id: "0" }, ...words("No id."), ...ENDING]);
    const log = await logOf(read, events);
    expect(shown(log)).toEqual([
      "assistant seq-1: No start.",
      "assistant seq-6: No end.",
      "user u1: Hm?",
      "assistant seq-10: No id.",
    ]);
    expect(log.entries.map(({ message }) => message?.id)).toEqual(["seq-1", "seq-6", "u1", "seq-10"]);
  });

  test("passes over what is malformed, and chunks that belong to no part", async () => {
    const kind = "chat.assistant.chunk";
    const { events } = new Script()
      .event("chat.user.message", { kind: "chat.user.message" })
      .event("chat.user.message", { kind: "chat.user.message", message: { role: "robot", parts: [] } })
      .event("chat.user.message", { kind: "chat.user.message", message: { role: "user", parts: "x" } })
      .event("chat.user.message", { kind: "other", message: { role: "user", parts: [] } })
      .event("chat.user.message", { message: null, kind: "chat.user.message" })
      .event(kind, { kind })
      .event(kind, { kind, chunk: "finish" })
      .event(kind, { kind, chunk: { type: 1 } })
      .event("chat.stop", {})
      .event("note", { kind, chunk: { type: "finish" } })
      .says("u1", "Hello")
      .chunks(beginning("a1"))
      .chunks([
        { type: "text-delta", id: "9", delta: "lost" },
        { type: "text-end", id: "9" },
        { type: "reasoning-delta", id: "9", delta: "lost" },
        { type: "reasoning-end", id: "9" },
        { type: "tool-input-delta", toolCallId: "9", inputTextDelta: "lost" },
        { type: "tool-output-available", toolCallId: "9", output: 1 },
        { type: "tool-output-error", toolCallId: "9", errorText: "lost" },
        { type: "text-delta", id: "0" } as never,
        { type: "text-start" } as never,
        { type: "made-up" } as never,
      ])
      .chunks([...words("Still here."), ...ENDING]);
    const log = await logOf(read, events);
    expect(shown(log)).toEqual(["user u1: Hello", "assistant a1: Still here."]);
  });

  test("a message without an id gets one that every reader gives it; members that nobody knows survive", async () => {
    const kind = "chat.user.message";
    const message = { role: "user", parts: [{ type: "text", text: "Hi" }], mood: "fine" };
    const { events } = new Script()
      .event(kind, { kind, message, tint: "blue" })
      .event(kind, { kind, message: { ...message, id: "" } });
    const log = await logOf(read, events);
    expect(log.entries.map(({ message: one }) => one)).toEqual([
      { ...message, id: "seq-1" },
      { ...message, id: "seq-2" },
    ]);
  });

  test("an answer with the id of a message that was there goes on with it", async () => {
    const { events } = new Script()
      .says("u1", "Weather?")
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "tool-input-available", toolCallId: "t", toolName: "here", input: {} },
        { type: "finish" },
      ])
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "tool-output-available", toolCallId: "t", output: "Graz" },
        { type: "text-start", id: "0" },
        ...words("Rain."),
        ...ENDING,
      ]);
    const log = await logOf(read, events);
    expect(shown(log)).toEqual(["user u1: Weather?", "assistant a1: Rain."]);
    expect(log.entries[1]?.message?.parts[0]).toMatchObject({ state: "output-available", output: "Graz" });
    expect(log.entries[1]?.lastSeq).toBe(events.length);
  });

  test("a tool's result that the user's side adds stands in the message, and asks for the rest of the answer", async () => {
    const call = { type: "tool-here", toolCallId: "t", input: {} } as const;
    const script = new Script()
      .says("u1", "Weather?")
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "tool-input-available", toolCallId: "t", toolName: "here", input: {} },
        { type: "finish" },
      ]);
    script.message({
      id: "a1",
      role: "assistant",
      parts: [{ ...call, state: "output-available", output: "Graz" }],
    });
    const log = await logOf(read, script.events);
    expect(log.entries.map(({ id }) => id)).toEqual(["u1", "a1"]);
    expect(log.standing.status).toBe("submitted");
    const { length } = script.events;
    script.chunks([
      { type: "start", messageId: "a1" },
      { type: "text-start", id: "0" },
      ...words("Rain."),
      ...ENDING,
    ]);
    for (const event of script.events.slice(length)) log.push(event);
    await log.settled();
    expect(log.entries.map(({ id }) => id)).toEqual(["u1", "a1"]);
    expect(log.entries[1]?.message?.parts).toMatchObject([
      { ...call, output: "Graz" },
      { type: "text", text: "Rain." },
    ]);
    expect(log.standing.status).toBe("ready");
  });

  test("two writers with one message id each keep a message of their own", async () => {
    const script = new Script().says("u1", "Hello");
    script.chunks([...beginning("m"), ...words("one ")], { actor: "agent:a" });
    script.chunks([...beginning("m"), ...words("two"), ...ENDING], { actor: "agent:b" });
    script.chunks([...words("three"), ...ENDING], { actor: "agent:a" });
    const log = await logOf(read, script.events);
    expect(shown(log)).toEqual(["user u1: Hello", "assistant m: one three", "assistant seq-5: two"]);
    expect(new Set(log.entries.map(({ message }) => message?.id)).size).toBe(3);
  });

  test("a user message whose id was there before takes its place, and what came after it is set aside", async () => {
    const script = new Script()
      .says("u1", "One?")
      .answers("a1", "First.")
      .says("u2", "Two?")
      .chunks([...beginning("a2"), ...words("Seco")])
      .says("u2", "Two, please?");
    const log = await logOf(read, script.events);
    expect(shown(log)).toEqual(["user u1: One?", "assistant a1: First.", "user u2: Two, please?"]);
    expect(log.standing.status).toBe("submitted");
    const { length } = script.events;
    script.chunks(words("nd.")).chunks(ENDING).answers("a3", "Second.");
    for (const event of script.events.slice(length)) log.push(event);
    await log.settled();
    expect(shown(log)).toEqual([
      "user u1: One?",
      "assistant a1: First.",
      "user u2: Two, please?",
      "assistant a3: Second.",
    ]);
    expect(log.standing.status).toBe("ready");
  });
});

describe("a chat read in pieces", () => {
  const read = READERS[1]![1];

  test("is the same as one read at once, wherever it is cut between turns", async () => {
    const script = new Script();
    for (let turn = 1; turn <= 6; turn++) {
      script.says(`u${turn}`, `Question ${turn}`).answers(`a${turn}`, `Answer ${turn} of six.`);
      if (turn === 4) script.says("u2", "Question 2, again").answers("a2b", "Answer 2, again.");
    }
    const whole = shown(await logOf(read, script.events));
    expect(whole).toHaveLength(2 + 2 + 4);
    const starts = script.events.filter(({ type }) => type === "chat.user.message").map(({ seq }) => seq - 1);
    for (const cut of starts) {
      const log = await logOf(read, script.events.slice(cut));
      log.prepend(await logOf(read, script.events.slice(0, cut)));
      expect(shown(log), `cut after seq ${cut}`).toEqual(whole);
    }
    const inThree = await logOf(read, script.events.slice(starts[5]));
    inThree.prepend(await logOf(read, script.events.slice(starts[1], starts[5])));
    inThree.prepend(await logOf(read, script.events.slice(0, starts[1])));
    expect(shown(inThree)).toEqual(whole);
  });
});
