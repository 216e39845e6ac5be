import type { SessionEvent } from "../wire.js";

/**
 * A chat as events:
 *
 *     chat.user.message       {kind, message: UIMessage}
 *     chat.assistant.chunk    {kind, chunk: UIMessageChunk}     one message: start … finish, abort or error
 *     chat.stop               {kind, actor?}                    ends the answers that are being written
 *
 * Messages and chunks are those of the AI SDK. `kind` repeats the event's type. What has another shape is passed over.
 */
export const USER_MESSAGE = "chat.user.message";
export const ASSISTANT_CHUNK = "chat.assistant.chunk";
export const STOP = "chat.stop";

/** As much of the AI SDK's `UIMessageChunk` as is looked at here. */
export interface ChunkLike {
  readonly type: string;
}

/** As much of the AI SDK's `UIMessage` as is looked at here. */
export interface MessageLike {
  readonly id: string;
  readonly role: "system" | "user" | "assistant";
  readonly parts: readonly unknown[];
}

/** As much of an event as says what it means in a chat. */
export type ChatEvent = Pick<SessionEvent, "type" | "payload" | "seq">;

const ROLES: ReadonlySet<unknown> = new Set(["system", "user", "assistant"]);
const ENDS: ReadonlySet<string> = new Set(["finish", "abort", "error"]);

/** Whether nothing of a message follows this chunk. */
export function isEnd({ type }: ChunkLike): boolean {
  return ENDS.has(type);
}

/** The message that an event is, if it is one. Without an id of its own it gets one that is the same for every reader. */
export function userMessageOf(event: ChatEvent): MessageLike | undefined {
  const message = memberOf(event, USER_MESSAGE, "message");
  if (message === undefined || !ROLES.has(message.role) || !Array.isArray(message.parts)) return undefined;
  const hasId = typeof message.id === "string" && message.id !== "";
  return (hasId ? message : { ...message, id: idBySeq(event) }) as unknown as MessageLike;
}

/** The chunk of an answer that an event is, if it is one. */
export function chunkOf(event: ChatEvent): ChunkLike | undefined {
  const chunk = memberOf(event, ASSISTANT_CHUNK, "chunk");
  return typeof chunk?.type === "string" ? (chunk as unknown as ChunkLike) : undefined;
}

/** Whether the event asks for answers to be ended; with an actor: for those of that actor. */
export function isStop({ type, payload }: ChatEvent, actor?: string): boolean {
  if (type !== STOP || payload.kind !== STOP) return false;
  return actor === undefined || payload.actor === undefined || payload.actor === actor;
}

/** Who writes a message: several may do so at once. */
export function writerOf({ actor, producer_id: producerId }: SessionEvent): string {
  return JSON.stringify([actor, producerId]);
}

/** The id of a message that has none. */
export function idBySeq({ seq }: Pick<SessionEvent, "seq">): string {
  return `seq-${seq}`;
}

function memberOf(
  { type, payload }: ChatEvent,
  kind: string,
  name: string,
): Readonly<Record<string, unknown>> | undefined {
  const member = payload[name];
  const isOne = type === kind && payload.kind === kind && typeof member === "object" && member !== null;
  return isOne ? (member as Readonly<Record<string, unknown>>) : undefined;
}
