import { convertToModelMessages, type UIMessage } from "ai";
import { describe, expect, it } from "vitest";
import { fromOpenAIMessage, type OpenAIMessageLike, toOpenAIMessages } from "./openai-messages.js";
import { fromUIMessage, toUIMessages } from "./ui-messages.js";
import type { Message, MessageInput } from "./wire.js";

/** As they come back from the server. */
function stored(inputs: readonly MessageInput[]): Message[] {
  return inputs.map(({ role, parts, metadata }, index) => {
    const message = { role, parts, metadata: metadata ?? {}, token_count: 0, inserted_at: "" };
    return { seq: index + 1, ...(JSON.parse(JSON.stringify(message)) as Omit<Message, "seq">) };
  });
}

const UI: UIMessage[] = [
  { id: "s", role: "system", parts: [{ type: "text", text: "Be brief." }] },
  {
    id: "u1",
    role: "user",
    metadata: { sentAt: 1 },
    parts: [
      { type: "text", text: "What is the weather?" },
      { type: "file", mediaType: "image/png", url: "data:image/png;base64,AAAA", filename: "sky.png" },
    ],
  },
  {
    id: "a1",
    role: "assistant",
    metadata: "a text",
    parts: [
      { type: "step-start" },
      { type: "reasoning", text: "I should look." },
      {
        type: "tool-weather",
        toolCallId: "c1",
        state: "output-available",
        input: { city: "Graz" },
        output: { degrees: 21 },
      },
      { type: "step-start" },
      { type: "text", text: "21 degrees." },
    ],
  },
  {
    id: "a2",
    role: "assistant",
    parts: [
      {
        type: "dynamic-tool",
        toolName: "search",
        toolCallId: "c2",
        state: "output-error",
        input: { q: "x" },
        errorText: "no network",
      },
    ],
  },
];

const OPENAI: OpenAIMessageLike[] = [
  { role: "developer", content: "Be brief." },
  { role: "user", name: "ann", content: "What is the weather?" },
  {
    role: "user",
    content: [
      { type: "text", text: "And this?" },
      { type: "image_url", image_url: { url: "https://example.com/sky.png" } },
      { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } },
      { type: "file", file: { file_data: "data:application/pdf;base64,AAAA", filename: "a.pdf" } },
    ],
  },
  {
    role: "assistant",
    content: null,
    tool_calls: [
      { id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Graz"}' } },
      { id: "c2", type: "function", function: { name: "broken", arguments: '{"city":' } },
    ],
  },
  { role: "tool", tool_call_id: "c1", content: "21 degrees" },
  { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "no" }] },
  { role: "assistant", content: "It is warm." },
  { role: "assistant", content: null, refusal: "I'd rather not say." },
];

describe("messages of the AI SDK", () => {
  it("come back from the server as they were", () => {
    expect(toUIMessages<UIMessage>(stored(UI.map(fromUIMessage)))).toEqual(UI);
  });

  it("become OpenAI's, with calls of tools beside the content and results behind them", () => {
    expect(toOpenAIMessages(stored(UI.map(fromUIMessage)))).toEqual([
      { role: "system", content: "Be brief." },
      {
        role: "user",
        content: [
          { type: "text", text: "What is the weather?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } },
        ],
      },
      {
        role: "assistant",
        content: null,
        tool_calls: [
          { id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Graz"}' } },
        ],
      },
      { role: "tool", tool_call_id: "c1", content: '{"degrees":21}' },
      { role: "assistant", content: "21 degrees." },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "c2", type: "function", function: { name: "search", arguments: '{"q":"x"}' } }],
      },
      { role: "tool", tool_call_id: "c2", content: "no network" },
    ]);
  });

  it("have an id of their own where they were appended without one, and metadata only if there is any", () => {
    const [message] = toUIMessages(stored([{ role: "agent", parts: [{ type: "text", text: "hi" }] }]));
    expect(message).toEqual({ id: "message-1", role: "assistant", parts: [{ type: "text", text: "hi" }] });
  });
});

describe("messages of OpenAI", () => {
  it("come back from the server as they were", () => {
    expect(toOpenAIMessages(stored(OPENAI.map(fromOpenAIMessage)))).toEqual(OPENAI);
  });

  it("become the AI SDK's, each result with its call, and its converter takes them", async () => {
    const shown = toUIMessages<UIMessage>(stored(OPENAI.map(fromOpenAIMessage)));
    expect(shown.map(({ role, parts }) => [role, parts.map(({ type }) => type)])).toEqual([
      ["system", ["text"]],
      ["user", ["text"]],
      ["user", ["text", "file", "file", "file"]],
      ["assistant", ["dynamic-tool", "dynamic-tool"]],
      ["assistant", ["text"]],
      ["assistant", ["text"]],
    ]);
    expect(shown[3]?.parts).toMatchObject([
      { toolName: "weather", state: "output-available", input: { city: "Graz" }, output: "21 degrees" },
      { toolName: "broken", input: '{"city":', output: "no" },
    ]);
    expect((await convertToModelMessages(shown)).map(({ role }) => role)).toEqual([
      "system",
      "user",
      "user",
      "assistant",
      "tool",
      "assistant",
      "assistant",
    ]);
  });

  it("have every message's parts: none is empty, so the server takes each", () => {
    for (const { parts } of OPENAI.map(fromOpenAIMessage)) expect(parts.length).toBeGreaterThan(0);
  });
});
