import { isObject } from "../errors.js";
import { openAICallOf, openAIResultOf } from "./openai-parts.js";
import type { Message, MessageInput, MessagePart } from "./wire.js";

/** As much of OpenAI's chat completion messages as is used: any of its types fits. */
export interface OpenAIMessageLike {
  readonly role: string;
  readonly content?: string | readonly object[] | null;
  readonly name?: string;
  readonly refusal?: string | null;
  readonly tool_calls?: readonly object[];
  readonly tool_call_id?: string;
}

/**
 * An OpenAI chat message, to be appended. Calls of tools and their results become parts; a name is kept in the metadata.
 *
 * @example
 * await convo.append(fromOpenAIMessage(completion.choices[0].message));
 */
export function fromOpenAIMessage(message: OpenAIMessageLike): MessageInput {
  const { role, content, name, refusal, tool_calls: calls = [], tool_call_id: callId } = message;
  const parts: MessagePart[] =
    callId === undefined ? contentParts(content) : [resultPart(callId, content ?? "")];
  if (typeof refusal === "string") parts.push({ type: "refusal", refusal });
  for (const call of calls) parts.push({ type: "tool_call", tool_call: call });
  return { role, parts, ...(name !== undefined && { metadata: { name } }) };
}

function contentParts(content: OpenAIMessageLike["content"]): MessagePart[] {
  if (content === undefined || content === null) return [];
  return typeof content === "string" ? [{ type: "text", text: content }] : [...(content as MessagePart[])];
}

function resultPart(callId: string, content: string | readonly object[]): MessagePart {
  const part = { type: "tool_result", tool_call_id: callId };
  if (typeof content === "string") return { ...part, text: content };
  return { ...part, text: (content as MessagePart[]).map(({ text }) => String(text)).join(""), content };
}

/**
 * Messages as OpenAI's chat completions take them, whichever way they were appended: the AI SDK's calls of tools become
 * `tool_calls` with the results in messages behind them. What a model cannot read, such as steps and reasoning, is left out.
 *
 * @example
 * const { messages } = await convo.tail({ limit: 50 });
 * const completion = await openai.chat.completions.create({ model, messages: toOpenAIMessages(messages) });
 */
export function toOpenAIMessages<OpenAIMessage extends OpenAIMessageLike = OpenAIMessageLike>(
  messages: readonly Pick<Message, "role" | "parts" | "metadata">[],
): OpenAIMessage[] {
  return messages.flatMap(({ role, parts, metadata }) => {
    const turn = new Turn(roleOf(role), metadata.name);
    for (const part of parts) turn.add(part);
    return turn.finish();
  }) as unknown as OpenAIMessage[];
}

function roleOf(role: string): string {
  return ["system", "developer", "user", "assistant", "tool"].includes(role) ? role : "assistant";
}

/** One message on its way to OpenAI's form, where it may be several. */
class Turn {
  private readonly messages: OpenAIMessageLike[] = [];
  private content: MessagePart[] = [];
  private calls: object[] = [];
  private results: OpenAIMessageLike[] = [];

  constructor(
    private readonly role: string,
    private readonly name: unknown,
  ) {}

  add(part: MessagePart): void {
    const call = openAICallOf(part);
    if (call !== undefined) this.calls.push(part.tool_call as object);
    else if (part.type === "step-start") this.flush();
    else if (!this.addResult(part) && !this.addUICall(part)) this.addContent(part);
  }

  finish(): OpenAIMessageLike[] {
    this.flush();
    return this.messages;
  }

  private addResult(part: MessagePart): boolean {
    const result = openAIResultOf(part);
    if (result === undefined) return false;
    const content = Array.isArray(part.content) ? (part.content as object[]) : result.text;
    this.results.push({ role: "tool", tool_call_id: result.id, content });
    return true;
  }

  private addUICall({ type, toolName, toolCallId: id, ...part }: MessagePart): boolean {
    if (typeof id !== "string" || (type !== "dynamic-tool" && !type.startsWith("tool-"))) return false;
    const name = type === "dynamic-tool" ? String(toolName) : type.slice("tool-".length);
    const call = { name, arguments: JSON.stringify(part.input ?? {}) };
    this.calls.push({ id, type: "function", function: call });
    const { state, output, errorText } = part;
    if (state === "output-available")
      this.results.push({ role: "tool", tool_call_id: id, content: textOf(output) });
    else if (state === "output-error")
      this.results.push({ role: "tool", tool_call_id: id, content: String(errorText) });
    return true;
  }

  private addContent(part: MessagePart): void {
    const readable = readablePart(part);
    if (readable === undefined) return;
    // What is said after a result answers it.
    if (this.results.length > 0) this.flush();
    this.content.push(readable);
  }

  private flush(): void {
    const { content, calls, results } = this;
    const [refusal] = content.filter(({ type }) => type === "refusal");
    const said = content.filter((part) => part !== refusal);
    if (content.length > 0 || calls.length > 0) {
      this.messages.push({
        role: this.role,
        ...(typeof this.name === "string" && { name: this.name }),
        content: contentOf(said),
        ...(refusal !== undefined && { refusal: String(refusal.refusal) }),
        ...(calls.length > 0 && { tool_calls: calls }),
      });
    }
    this.messages.push(...results);
    [this.content, this.calls, this.results] = [[], [], []];
  }
}

/** One text is a text; nothing is null. */
function contentOf(parts: readonly MessagePart[]): NonNullable<OpenAIMessageLike["content"]> | null {
  const [only] = parts;
  if (only === undefined) return null;
  return parts.length === 1 && only.type === "text" ? String(only.text) : parts;
}

const CONTENT = new Set(["text", "image_url", "input_audio", "refusal"]);

function readablePart(part: MessagePart): MessagePart | undefined {
  const { type, mediaType, url, filename, file } = part;
  if (type === "text") return { type, text: part.text };
  if (CONTENT.has(type) || (type === "file" && isObject(file))) return part;
  if (type !== "file" || typeof mediaType !== "string" || typeof url !== "string") return undefined;
  if (mediaType.startsWith("image/")) return { type: "image_url", image_url: { url } };
  if (!url.startsWith("data:")) return { type: "text", text: url };
  return { type: "file", file: { file_data: url, ...(filename !== undefined && { filename }) } };
}

function textOf(output: unknown): string {
  return typeof output === "string" ? output : JSON.stringify(output ?? null);
}
