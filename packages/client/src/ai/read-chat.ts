import type { SessionEvent } from "../wire.js";
import {
  type ChunkLike,
  chunkOf,
  idBySeq,
  isEnd,
  type MessageLike,
  userMessageOf,
  writerOf,
} from "./chat-envelope.js";

/** A message as it stands in the log. */
export interface ChatEntry {
  readonly id: string;
  /** Of the event it began with. */
  readonly seq: number;
  /** Who began it. */
  readonly actor: string;
  /** As it was appended whole; undefined of one that was written chunk by chunk. */
  readonly message?: MessageLike;
  /** What was written chunk by chunk, one answer after the other. The first goes on with `message`, if there is one. */
  readonly answers: readonly ChatAnswer[];
}

/** Chunks of one writer, from `start` to `finish`, `abort` or `error`. */
export interface ChatAnswer {
  readonly chunks: readonly ChunkLike[];
  /** Its end has not come. */
  readonly isOpen: boolean;
}

/**
 * What is said in events, message by message, in the order in which they began.
 *
 * A `chat.user.message` whose id was there before takes that message's place: it and all that came after it are set aside.
 * That is how a message is edited, and an answer made again. A `start` with the `messageId` of an assistant's message goes
 * on with that message.
 *
 * @example
 * const answered = readChat(await session.range(1, Infinity)).filter(({ answers }) => answers.length > 0);
 */
export function readChat(events: Iterable<SessionEvent>): ChatEntry[] {
  const reading = new Reading();
  for (const event of events) {
    const message = userMessageOf(event);
    if (message !== undefined) reading.take(event, message);
    const chunk = chunkOf(event);
    if (chunk !== undefined) reading.write(event, chunk);
  }
  return reading.entries;
}

type Answer = ChatAnswer & { chunks: ChunkLike[]; isOpen: boolean };
type Entry = ChatEntry & { answers: Answer[] };

class Reading {
  entries: Entry[] = [];
  private readonly byId = new Map<string, Entry>();
  /** Answers that are being written, by writer. */
  private readonly open = new Map<string, Answer>();

  take(event: SessionEvent, message: MessageLike): void {
    // One that had no beginning has no other end.
    for (const [writer, { chunks }] of this.open) if (chunks[0]?.type !== "start") this.end(writer);
    const before = this.byId.get(message.id);
    if (before !== undefined) this.setAside(before);
    this.add(event, message.id, { message });
  }

  write(event: SessionEvent, chunk: ChunkLike): void {
    const writer = writerOf(event);
    if (chunk.type === "start") this.end(writer);
    const answer = this.open.get(writer) ?? this.begin(event, chunk);
    this.open.set(writer, answer);
    answer.chunks.push(chunk);
    if (isEnd(chunk)) this.end(writer);
  }

  private begin(event: SessionEvent, chunk: ChunkLike): Answer {
    const answer = { chunks: [], isOpen: true };
    const { messageId } = chunk as { readonly messageId?: unknown };
    const named = chunk.type === "start" && typeof messageId === "string" && messageId !== "";
    const id = named ? messageId : idBySeq(event);
    const known = this.byId.get(id);
    // An id that is somebody else's already cannot be this message's too.
    const entry = known === undefined || isContinuable(known) ? known : undefined;
    (entry ?? this.add(event, known === undefined ? id : idBySeq(event))).answers.push(answer);
    return answer;
  }

  private end(writer: string): void {
    const answer = this.open.get(writer);
    if (answer !== undefined) answer.isOpen = false;
    this.open.delete(writer);
  }

  private add(
    { seq, actor }: SessionEvent,
    id: string,
    more: { readonly message?: MessageLike } = {},
  ): Entry {
    const entry = { id, seq, actor, ...more, answers: [] };
    this.entries.push(entry);
    this.byId.set(id, entry);
    return entry;
  }

  /** What is still written on it goes nowhere. */
  private setAside(from: Entry): void {
    const aside = this.entries.splice(this.entries.indexOf(from));
    for (const entry of aside) if (this.byId.get(entry.id) === entry) this.byId.delete(entry.id);
  }
}

/** Whether an answer may go on with a message: one of an assistant that nobody writes on. */
function isContinuable({ message, answers }: Entry): boolean {
  const last = answers.at(-1);
  return last === undefined ? message?.role === "assistant" : !last.isOpen;
}
