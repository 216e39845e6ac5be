import { readUIMessageStream, type UIMessage } from "ai";
import { readUIMessageStream as readUIMessageStream5 } from "ai-5";
import { describe, expect, test } from "vitest";
import { Script, text } from "./chat-script.test.support.js";
import { historyTo } from "./history.js";
import { type MessageReader, readChat, readMessages, turnBoundary } from "./index.js";

const READERS: readonly (readonly [string, MessageReader<UIMessage>])[] = [
  ["5", readUIMessageStream5],
  ["6", readUIMessageStream],
];

describe.each(READERS)("a chat read with major %s of the AI SDK", (_, read) => {
  const shown = async ({ events }: Script): Promise<string[]> =>
    (await readMessages(events, read)).map(
      ({ id, role, parts }) =>
        `${role} ${id}: ${parts.map((part) => (part.type === "text" ? part.text : `<${part.type}>`)).join("")}`,
    );

  test("is its messages in the order in which they began", async () => {
    const script = new Script()
      .says("u1", "What is in the box?")
      .answers("a1", "A cat, perhaps.")
      .says("u2", "Open it.")
      .answers("a2", "No.");
    expect(await shown(script)).toEqual([
      "user u1: What is in the box?",
      "assistant a1: A cat, perhaps.",
      "user u2: Open it.",
      "assistant a2: No.",
    ]);
  });

  test("two writers at once, also of one agent, and with one message id, each have a message of their own", async () => {
    const script = new Script().says("u1", "Hello");
    for (const producer of ["p", "q"]) script.chunks([{ type: "start", messageId: "m" }], { producer });
    const [one, two] = [text("one two"), text("uno due")];
    for (const [index, chunk] of one.entries())
      script.chunks([chunk], { producer: "p" }).chunks([two[index] ?? chunk], { producer: "q" });
    expect(await shown(script)).toEqual([
      "user u1: Hello",
      "assistant m: one two",
      "assistant seq-3: uno due",
    ]);
    expect(readChat(script.events).map(({ answers }) => answers.map(({ isOpen }) => isOpen))).toEqual([
      [],
      [true],
      [true],
    ]);
  });

  test("a message whose id was there before takes its place, and what came after it is set aside", async () => {
    const script = new Script()
      .says("u1", "One?")
      .answers("a1", "First.")
      .says("u2", "Two?")
      .chunks([{ type: "start", messageId: "a2" }, ...text("Seco").slice(0, 2)])
      .says("u2", "Two, please?");
    const asked = ["user u1: One?", "assistant a1: First.", "user u2: Two, please?"];
    expect(await shown(script)).toEqual(asked);
    // What is still written on the answer before goes nowhere.
    script.chunks([{ type: "text-delta", id: "0", delta: "nd." }, { type: "abort" }]);
    expect(await shown(script)).toEqual(asked);
    expect(await shown(script.answers("a3", "Second."))).toEqual([...asked, "assistant a3: Second."]);
    // The same question again, for another answer; then the first one, for another course.
    expect(await shown(script.says("u2", "Two, please?").answers("a4", "2."))).toEqual([
      ...asked,
      "assistant a4: 2.",
    ]);
    expect(await shown(script.says("u1", "Three?"))).toEqual(["user u1: Three?"]);
    // An id that was set aside is free again.
    expect(await shown(script.says("u2", "Four?"))).toEqual(["user u1: Three?", "user u2: Four?"]);
  });

  test("a start with the id of a message that was there goes on with it", async () => {
    const script = new Script()
      .says("u1", "Weather?")
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "tool-input-available", toolCallId: "c", toolName: "here", input: {} },
        { type: "finish" },
      ])
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "tool-output-available", toolCallId: "c", output: "Graz" },
        ...text("Rain."),
        { type: "finish" },
      ]);
    const copy = structuredClone(script.events);
    expect(await shown(script)).toEqual(["user u1: Weather?", "assistant a1: <tool-here>Rain."]);
    const [, message] = await readMessages(script.events, read);
    expect(message?.parts[0]).toMatchObject({ state: "output-available", output: "Graz" });
    expect(script.events, "events are not written on").toEqual(copy);
  });

  test("an assistant's message that the user's side has completed stands in its place; the answer goes on with it", async () => {
    const call = { type: "tool-here", toolCallId: "c", input: {} };
    const script = new Script()
      .says("u1", "Weather?")
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "tool-input-available", toolCallId: "c", toolName: "here", input: {} },
        { type: "finish" },
      ])
      .message({
        id: "a1",
        role: "assistant",
        parts: [{ ...call, state: "output-available", output: "Graz" }],
      })
      .chunks([{ type: "start", messageId: "a1" }, ...text("Rain."), { type: "finish" }]);
    expect(await shown(script)).toEqual(["user u1: Weather?", "assistant a1: <tool-here>Rain."]);
    expect((await readMessages(script.events, read))[1]?.parts[0]).toMatchObject({ output: "Graz" });
  });

  test("an answer without `start` and id is one until its end, or until a user speaks", async () => {
    const script = new Script()
      .chunks([...text("No start."), { type: "finish" }])
      .chunks(text("No end."))
      .says("u1", "Hm?")
      .chunks([{ type: "start" }, ...text("No id."), { type: "finish" }]);
    expect(await shown(script)).toEqual([
      "assistant seq-1: No start.",
      "assistant seq-6: No end.",
      "user u1: Hm?",
      "assistant seq-11: No id.",
    ]);
  });

  test("what belongs to nothing is passed over, and the rest is read", async () => {
    const script = new Script()
      .event("chat.user.message", { kind: "chat.user.message", message: { role: "robot", parts: [] } })
      .event("chat.assistant.chunk", { kind: "chat.assistant.chunk", chunk: "finish" })
      .says("u1", "Hello")
      .chunks([
        { type: "start", messageId: "a0" },
        { type: "error", errorText: "no model" },
      ])
      .chunks([
        { type: "start", messageId: "a1" },
        { type: "text-delta", id: "9", delta: "lost" },
        { type: "reasoning-end", id: "9" },
        { type: "tool-output-available", toolCallId: "9", output: 1 },
        { type: "text-start" },
        ...text("Still here."),
        { type: "finish" },
      ]);
    expect(await shown(script)).toEqual(["user u1: Hello", "assistant a1: Still here."]);
  });
});

describe("what is read of a long chat", () => {
  /** As a server would page it; counts the calls. */
  const paged = (script: Script): Parameters<typeof historyTo>[0] & { calls: number } => ({
    calls: 0,
    before(seq, limit = 100) {
      this.calls++;
      return Promise.resolve(script.events.filter((event) => event.seq < seq).slice(-limit));
    },
  });

  test("is all of it up to a seq, as long as that is not very much", async () => {
    const script = new Script();
    for (let turn = 1; turn <= 500; turn++) script.says(`u${turn}`, "?").answers(`a${turn}`, "Yes.");
    const seqs = (await historyTo(paged(script), 2_750)).map(({ seq }) => seq);
    expect(seqs).toEqual(Array.from({ length: 2_750 }, (_, index) => index + 1));
    expect(await historyTo(paged(script), 0)).toEqual([]);
  });

  test("begins where a turn begins, also when answers overlap", async () => {
    const script = new Script();
    for (let turn = 1; turn <= 1_000; turn++) {
      script.says(`u${turn}`, "?").chunks([{ type: "start", messageId: `b${turn}` }], { actor: "agent:b" });
      script.answers(`a${turn}`, "Well, yes.").chunks([{ type: "finish" }], { actor: "agent:b" });
    }
    const source = paged(script);
    const events = await historyTo(source, script.events.length, 3_000);
    expect(source.calls).toBe(3);
    expect(events[0]?.type).toBe("chat.user.message");
    expect(events.length).toBeGreaterThan(2_900);
    expect(
      readChat(events).every(
        ({ message, answers }) => message !== undefined || answers[0]?.chunks[0]?.type === "start",
      ),
    ).toBe(true);
  });

  test("goes back as far as it has to where no turn begins", async () => {
    const script = new Script().says("u1", "Count to 5,000.").chunks([{ type: "start", messageId: "a" }]);
    script.chunks(text("n ".repeat(5_000)));
    const events = await historyTo(paged(script), script.events.length, 1_000);
    expect(events).toHaveLength(script.events.length);
    expect(turnBoundary(events)).toBe(0);
    expect(turnBoundary(events.slice(1))).toBeUndefined();
    expect(turnBoundary(events.slice(2))).toBeUndefined();
  });
});
