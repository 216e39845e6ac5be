import type { SessionEvent } from "../wire.js";
import {
  type ChunkLike,
  chunkOf,
  isEnd,
  type MessageLike,
  userMessageOf,
  writerOf,
} from "./chat-envelope.js";

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
