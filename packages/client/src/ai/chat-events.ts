import type { SessionEvent } from "../wire.js";

/**
 * A chat as events:
 *
 *     chat.user.message       {kind, message: UIMessage}
 *     chat.assistant.chunk    {kind, chunk: UIMessageChunk}     one message: start … finish, abort or error
 *     chat.stop               {kind, actor?}                    ends the answers that are being written
 *
 * Messages and chunks are those of the AI SDK. `kind` repeats the event's type.
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

const ENDS: ReadonlySet<string> = new Set(["finish", "abort", "error"]);

/** Whether nothing of a message follows this chunk. */
export function isEnd({ type }: ChunkLike): boolean {
  return ENDS.has(type);
}

/** The message of a user, if the event is one. */
export function userMessageOf(event: SessionEvent): MessageLike | undefined {
  const { message } = event.payload as { readonly message?: Partial<MessageLike> };
  if (event.type !== USER_MESSAGE || typeof message !== "object") return undefined;
  const isWhole = typeof message.id === "string" && Array.isArray(message.parts);
  return isWhole ? (message as MessageLike) : undefined;
}

/** The chunk of an answer, if the event is one. */
export function chunkOf(event: SessionEvent): ChunkLike | undefined {
  const { chunk } = event.payload as { readonly chunk?: Partial<ChunkLike> };
  if (event.type !== ASSISTANT_CHUNK || typeof chunk !== "object") return undefined;
  return typeof chunk.type === "string" ? (chunk as ChunkLike) : undefined;
}

/** Who writes a message: several may do so at once. */
export function writerOf({ actor, producer_id: producerId }: SessionEvent): string {
  return JSON.stringify([actor, producerId]);
}

/** A message as it stands in the log. */
export type ChatEntry =
  | { readonly kind: "message"; readonly seq: number; readonly message: MessageLike }
  | {
      readonly kind: "chunks";
      /** Of its first chunk. */
      readonly seq: number;
      readonly actor: string;
      readonly chunks: readonly ChunkLike[];
      readonly isOpen: boolean;
    };

/** What is said in events, message by message, in the order in which they began. */
export function readChat(events: Iterable<SessionEvent>): ChatEntry[] {
  type Open = Extract<ChatEntry, { kind: "chunks" }> & { chunks: ChunkLike[]; isOpen: boolean };
  const entries: ChatEntry[] = [];
  const open = new Map<string, Open>();
  for (const event of events) {
    const message = userMessageOf(event);
    if (message !== undefined) entries.push({ kind: "message", seq: event.seq, message });
    const chunk = chunkOf(event);
    if (chunk === undefined) continue;
    const writer = writerOf(event);
    let entry = open.get(writer);
    if (entry === undefined || chunk.type === "start") {
      entry = { kind: "chunks", seq: event.seq, actor: event.actor, chunks: [], isOpen: true };
      open.set(writer, entry);
      entries.push(entry);
    }
    entry.chunks.push(chunk);
    if (!isEnd(chunk)) continue;
    entry.isOpen = false;
    open.delete(writer);
  }
  return entries;
}

/** As much of the AI SDK's `readUIMessageStream` as is used. */
export type MessageReader<Message> = (options: {
  readonly stream: ReadableStream<never>;
  readonly onError?: (error: unknown) => void;
}) => AsyncIterable<Message>;

/**
 * The messages in a session's events, put together by the AI SDK's own reader.
 *
 * @example
 * const messages = await readMessages(await session.range(1, Infinity), readUIMessageStream);
 */
export async function readMessages<Message extends MessageLike>(
  events: Iterable<SessionEvent>,
  read: MessageReader<Message>,
): Promise<Message[]> {
  const messages: Message[] = [];
  for (const entry of readChat(events)) {
    if (entry.kind === "message") messages.push(entry.message as Message);
    // Cut off at its beginning, the rest of it makes no sense.
    else if (entry.chunks[0]?.type === "start") {
      let last: Message | undefined;
      const stream = streamOf(entry.chunks) as ReadableStream<never>;
      for await (const message of read({ stream, onError: () => undefined })) last = message;
      if (last !== undefined) messages.push(last);
    }
  }
  return messages;
}

function streamOf(chunks: readonly ChunkLike[]): ReadableStream<ChunkLike> {
  return new ReadableStream({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}
