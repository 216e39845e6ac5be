import type { UIMessage, UIMessageChunk } from "ai";
import { describe, expect, test } from "vitest";
import { messageChunks } from "./message-chunks.js";
import { READERS } from "./session-events.test.support.js";

const PARTS = [
  { type: "step-start" },
  { type: "reasoning", id: "r", text: "Hm.", state: "done" },
  { type: "text", text: "Here it is: ", state: "done" },
  {
    type: "tool-look",
    toolCallId: "1",
    state: "output-available",
    input: { at: 1 },
    output: { found: true },
  },
  { type: "tool-look", toolCallId: "2", state: "output-error", input: { at: 2 }, errorText: "Gone." },
  { type: "tool-look", toolCallId: "3", state: "input-available", input: { at: 3 } },
  { type: "dynamic-tool", toolName: "any", toolCallId: "4", state: "output-available", input: 1, output: 2 },
  { type: "step-start" },
  { type: "file", mediaType: "text/plain", url: "data:,x" },
  { type: "source-url", sourceId: "s", url: "https://example.com/", title: "Example" },
  { type: "data-progress", id: "p", data: { percent: 10 } },
  { type: "text", text: "That was all.", state: "done" },
];

describe.each(READERS)("read by %s", (_, read) => {
  test("the chunks of a message make the same message again", async () => {
    const message = {
      id: "m",
      role: "assistant",
      metadata: { model: "small" },
      parts: PARTS,
    } as unknown as UIMessage;
    let last: UIMessage | undefined;
    const stream = new ReadableStream<UIMessageChunk>({
      start: (controller) => {
        for (const chunk of [{ type: "start", messageId: "m" } as const, ...messageChunks(message)])
          controller.enqueue(chunk);
        controller.close();
      },
    });
    for await (const next of read({ stream })) last = next;
    const { parts, ...made } = JSON.parse(JSON.stringify(last)) as UIMessage;
    expect(made).toEqual({ id: "m", role: "assistant", metadata: { model: "small" } });
    // Newer versions name reasoning.
    expect(parts.map((part) => ({ ...part, ...(part.type === "reasoning" && { id: "r" }) }))).toEqual(PARTS);
  });
});

test("what waits for somebody, or was refused, is told as such", () => {
  const types = (part: object): string[] =>
    messageChunks({ id: "m", role: "assistant", parts: [part as never] }).map(({ type }) => type);
  const tool = { type: "tool-remove", toolCallId: "t", input: {} };
  expect(types({ ...tool, state: "approval-requested", approval: { id: "ok?" } })).toEqual([
    "tool-input-available",
    "tool-approval-request",
  ]);
  expect(types({ ...tool, state: "approval-responded", approval: { id: "ok?", approved: true } })).toEqual([
    "tool-input-available",
  ]);
  expect(types({ ...tool, state: "output-denied" })).toEqual(["tool-input-available", "tool-output-denied"]);
  expect(types({ ...tool, state: "input-streaming" })).toEqual(["tool-input-start"]);
});
