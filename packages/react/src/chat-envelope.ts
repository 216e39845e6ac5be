import type { AppendInput, SessionEvent } from "@daybook/client";
import type { UIMessage, UIMessageChunk } from "ai";

/**
 * A chat as events of a session:
 *
 *     chat.user.message       {kind, message: UIMessage}
 *     chat.assistant.chunk    {kind, chunk: UIMessageChunk}     one answer: start … finish, abort or error
 *     chat.stop               {kind}                            ends the answers that are being written
 *
 * Messages and chunks are the AI SDK's. `kind` repeats the event's type. What has another shape is passed over.
 */
export const USER_MESSAGE = "chat.user.message";
export const ASSISTANT_CHUNK = "chat.assistant.chunk";
export const STOP = "chat.stop";

const ROLES: ReadonlySet<unknown> = new Set(["system", "user", "assistant"]);
const ENDS: ReadonlySet<string> = new Set(["finish", "abort", "error"]);

/** Whether nothing of an answer follows this chunk. */
export function isEnd({ type }: UIMessageChunk): boolean {
  return ENDS.has(type);
}

type Envelope = Pick<SessionEvent, "type" | "payload" | "seq">;

/** The message that an event is, if it is one. Without an id of its own it gets one that is the same for every reader. */
export function messageOf(event: Envelope): UIMessage | undefined {
  const message = memberOf(event, USER_MESSAGE, "message");
  if (message === undefined || !ROLES.has(message.role) || !Array.isArray(message.parts)) return undefined;
  const hasId = typeof message.id === "string" && message.id !== "";
  return (hasId ? message : { ...message, id: idBySeq(event) }) as unknown as UIMessage;
}

/** The piece of an answer that an event is, if it is one. */
export function chunkOf(event: Envelope): UIMessageChunk | undefined {
  const chunk = memberOf(event, ASSISTANT_CHUNK, "chunk");
  return typeof chunk?.type === "string" ? (chunk as unknown as UIMessageChunk) : undefined;
}

export function isStop({ type, payload }: Envelope): boolean {
  return type === STOP && payload.kind === STOP;
}

/** Who writes an answer: several may do so at once. */
export function writerOf({ actor, producer_id: producerId }: SessionEvent): string {
  return JSON.stringify([actor, producerId]);
}

/** The id of a message that has none. */
export function idBySeq({ seq }: Pick<SessionEvent, "seq">): string {
  return `seq-${seq}`;
}

/** A message as it is appended. */
export function messageInput(message: UIMessage, metadata?: AppendInput["metadata"]): AppendInput {
  const payload = { kind: USER_MESSAGE, message };
  return { type: USER_MESSAGE, payload, ...(metadata !== undefined && { metadata }) };
}

export const STOP_INPUT: AppendInput = { type: STOP, payload: { kind: STOP } };

function memberOf(
  { type, payload }: Envelope,
  kind: string,
  name: string,
): Readonly<Record<string, unknown>> | undefined {
  const member = payload[name];
  const isOne = type === kind && payload.kind === kind && typeof member === "object" && member !== null;
  return isOne ? (member as Readonly<Record<string, unknown>>) : undefined;
}
