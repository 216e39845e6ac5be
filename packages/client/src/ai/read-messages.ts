import type { SessionEvent } from "../wire.js";
import type { ChunkLike, MessageLike } from "./chat-envelope.js";
import { PartTracker } from "./part-tracker.js";
import { type ChatEntry, readChat } from "./read-chat.js";

/** As much of the AI SDK's `readUIMessageStream` as is used; it is also given the `message` to go on with. */
export type MessageReader<Message> = (options: {
  readonly stream: ReadableStream<never>;
  readonly onError?: (error: unknown) => void;
}) => AsyncIterable<Message>;

/**
 * The messages in a session's events, put together by the AI SDK's own reader, by the rules of `readChat`. What cannot be
 * read is passed over, and an answer of which nothing can be is left out.
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
    const message = await readEntry(entry, read);
    // The AI SDK takes no message without parts for valid.
    if (message.parts.length > 0 || entry.message !== undefined) messages.push(message);
  }
  return messages;
}

async function readEntry<Message extends MessageLike>(
  { id, message: said, answers }: ChatEntry,
  read: MessageReader<Message>,
): Promise<Message> {
  let message = said ?? { id, role: "assistant", parts: [] };
  const parts = new PartTracker(message);
  for (const { chunks } of answers) {
    parts.begin();
    const stream = streamOf(
      chunks.filter((chunk) => parts.admits(chunk)).map((chunk) => asPartOf(id, chunk)),
    ) as ReadableStream<never>;
    // The reader writes on the message it is given. An `error` chunk is told to `onError` too: the log has it already.
    const given = { message: structuredClone(message), stream, onError: () => undefined };
    for await (const next of read(given)) message = next;
  }
  return message as Message;
}

/** A copy: the reader keeps some chunks, and writes on them. */
function asPartOf(messageId: string, chunk: ChunkLike): ChunkLike {
  return { ...chunk, ...(chunk.type === "start" && { messageId }) };
}

function streamOf(chunks: readonly ChunkLike[]): ReadableStream<ChunkLike> {
  return new ReadableStream({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}
