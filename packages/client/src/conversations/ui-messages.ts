import { isObject } from "../errors.js";
import type { JsonObject } from "../wire.js";
import { openAICallOf, openAIFileOf, openAIResultOf } from "./openai-parts.js";
import type { Message, MessageInput, MessagePart } from "./wire.js";

/** As much of the AI SDK's `UIMessage` as is used: any of its types fits. */
export interface UIMessageLike {
  readonly id: string;
  readonly role: "system" | "user" | "assistant";
  readonly metadata?: unknown;
  readonly parts: readonly MessagePart[];
}

/** Where the metadata of a message keeps what only the AI SDK knows of. */
const ID = "ui_message_id";
const METADATA = "ui_metadata";

/**
 * A message of the AI SDK, to be appended. Its parts stay as they are; its id is kept in the metadata.
 *
 * @example
 * await convo.append(fromUIMessage(message));
 */
export function fromUIMessage({ id, role, parts, metadata }: UIMessageLike): MessageInput {
  const kept: JsonObject = isObject(metadata)
    ? metadata
    : metadata === undefined
      ? {}
      : { [METADATA]: metadata };
  return { role, parts, metadata: { ...kept, [ID]: id } };
}

/**
 * Messages as the AI SDK shows them, whichever way they were appended: OpenAI's tool calls and their results become parts
 * of the message that made the call.
 *
 * @example
 * const { messages } = await convo.tail();
 * const { messages: shown } = useChat({ messages: toUIMessages<UIMessage>(messages) });
 */
export function toUIMessages<UIMessage extends UIMessageLike = UIMessageLike>(
  messages: readonly Pick<Message, "seq" | "role" | "parts" | "metadata">[],
): UIMessage[] {
  const shown: UIMessage[] = [];
  const calls = new Map<string, Record<string, unknown>>();
  for (const { seq, role, parts, metadata } of messages) {
    const own = parts.flatMap((part) => shownPart(part, calls));
    if (own.length === 0) continue;
    const { [ID]: id, [METADATA]: kept, ...rest } = metadata;
    const left = kept ?? (Object.keys(rest).length === 0 ? undefined : rest);
    shown.push({
      id: typeof id === "string" ? id : `message-${seq}`,
      role: shownRole(role),
      parts: own,
      ...(left !== undefined && { metadata: left }),
    } as unknown as UIMessage);
  }
  return shown;
}

function shownRole(role: string): UIMessageLike["role"] {
  if (role === "user" || role === "system") return role;
  return role === "developer" ? "system" : "assistant";
}

/** The part as it is shown; none for a result that was put to its call. */
function shownPart(part: MessagePart, calls: Map<string, Record<string, unknown>>): MessagePart[] {
  const call = openAICallOf(part);
  if (call !== undefined) {
    const { id: toolCallId, name: toolName, input } = call;
    const shown = { type: "dynamic-tool", toolName, toolCallId, state: "input-available", input };
    calls.set(toolCallId, shown);
    return [shown];
  }
  const result = openAIResultOf(part);
  if (result !== undefined) {
    const made = calls.get(result.id);
    if (made === undefined) return [{ type: "text", text: result.text }];
    Object.assign(made, { state: "output-available", output: result.text });
    return [];
  }
  if (part.type === "refusal") return [{ type: "text", text: String(part.refusal) }];
  return [openAIFileOf(part) ?? part];
}
