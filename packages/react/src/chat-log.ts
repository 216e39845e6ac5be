import type { SessionEvent } from "@daybook/client";
import { chunkOf, idBySeq, isEnd, isStop, userMessageOf, writerOf } from "@daybook/client/ai";
import type { UIMessage, UIMessageChunk } from "ai";
import { Answer, type MessageReader } from "./answer.js";
import { ChatStanding } from "./chat-standing.js";

/** Where a message comes from. */
export interface MessageOrigin {
  /** Who wrote it: `user:alice`, `agent:drafter`. */
  readonly actor: string;
  /** Of the event it began with. */
  readonly seq: number;
  /** RFC 3339, UTC. */
  readonly insertedAt: string;
}

/** One message of the log, as far as it has been read. */
export interface ChatEntry<Message extends UIMessage> extends MessageOrigin {
  readonly id: string;
  /** Of the newest event that is part of it. */
  lastSeq: number;
  /** Undefined while nothing of it has been read. Another object whenever it changes, and only then. */
  message: Message | undefined;
  /** The newest answer it was made by, if it was made by one. */
  answer: Answer<Message> | undefined;
}

/**
 * A chat, made from a session's events one by one: a new event costs the same however many came before. Chunks are
 * grouped by writer, so that several agents may answer at once. Messages stand in the order in which they began.
 *
 * A user message with an id that was there before takes that message's place: it and all that came after it are set
 * aside. That is how a message is edited, and an answer made again.
 */
export class ChatLog<Message extends UIMessage> {
  entries: ChatEntry<Message>[] = [];
  readonly standing = new ChatStanding<Message>();
  private readonly byId = new Map<string, ChatEntry<Message>>();
  /** Answers that are being written, by writer, and the messages they are written into. */
  private readonly open = new Map<string, { answer: Answer<Message>; entry: ChatEntry<Message> }>();
  /** Message ids that took the place of others, and since when. */
  private readonly replaced = new Map<string, number>();
  private readonly unread = new Set<Promise<void>>();

  /** @param changed some message is another; told from within the reading, so often */
  constructor(
    private readonly read: MessageReader<Message>,
    private readonly changed: () => void = () => undefined,
  ) {}

  entry(id: string): ChatEntry<Message> | undefined {
    return this.byId.get(id);
  }

  /** Takes the next event. @returns the message that it is part of */
  push(event: SessionEvent): ChatEntry<Message> | undefined {
    const message = userMessageOf(event) as Message | undefined;
    const chunk = message === undefined ? (chunkOf(event) as UIMessageChunk | undefined) : undefined;
    if (isStop(event)) this.standing.stopped(event);
    this.changed();
    if (message !== undefined) return this.take(event, message);
    return chunk === undefined ? undefined : this.write(event, chunk);
  }

  /** Puts events before all others. They are whole turns, and read: `settled()` has resolved. */
  prepend(older: ChatLog<Message>): void {
    this.entries = [...older.entries, ...this.entries];
    for (const [id, seq] of this.replaced) {
      const before = older.byId.get(id);
      if (before !== undefined) this.setAside(before.seq, seq);
    }
    this.byId.clear();
    for (const entry of this.entries) this.byId.set(entry.id, entry);
    for (const [id, seq] of older.replaced) if (!this.replaced.has(id)) this.replaced.set(id, seq);
    this.changed();
  }

  /** Resolves when all that has been pushed is in `entries`. */
  async settled(): Promise<void> {
    while (this.unread.size > 0) await Promise.all(this.unread);
    // What is still open is read in microtasks: none of them is left at the next task.
    await new Promise((resolve) => setTimeout(resolve));
  }

  private take(event: SessionEvent, message: Message): ChatEntry<Message> {
    for (const [writer, { answer }] of this.open) if (!answer.hasStart) this.end(writer);
    const before = this.byId.get(message.id);
    if (before !== undefined) this.setAside(before.seq, event.seq);
    this.replaced.set(message.id, event.seq);
    // A message of an assistant asks for an answer only if it says more than one that was there: a tool's result, say.
    if (message.role === "user" || (message.role === "assistant" && before !== undefined))
      this.standing.asked(event.seq);
    return this.add(event, message.id, message);
  }

  private write(event: SessionEvent, chunk: UIMessageChunk): ChatEntry<Message> {
    const writer = writerOf(event);
    if (chunk.type === "start") this.end(writer);
    const { answer, entry } = this.open.get(writer) ?? this.begin(event, writer, chunk);
    answer.push(event, chunk);
    entry.lastSeq = event.seq;
    this.standing.wrote(answer, chunk);
    if (isEnd(chunk)) this.end(writer);
    return entry;
  }

  private begin(
    event: SessionEvent,
    writer: string,
    chunk: UIMessageChunk,
  ): { answer: Answer<Message>; entry: ChatEntry<Message> } {
    const messageId: unknown = chunk.type === "start" ? chunk.messageId : undefined;
    const id = typeof messageId === "string" && messageId !== "" ? messageId : idBySeq(event);
    const known = this.byId.get(id);
    // An id that is somebody else's already cannot be this message's too.
    const entry =
      known !== undefined && isContinuable(known)
        ? known
        : this.add(event, known === undefined ? id : idBySeq(event));
    const empty = { id: entry.id, role: "assistant", parts: [] } as unknown as Message;
    const answer = new Answer<Message>(event, {
      id: entry.id,
      hasStart: chunk.type === "start",
      base: () => entry.message ?? empty,
      before: entry.answer,
      read: this.read,
      changed: (message) => {
        entry.message = message;
        this.changed();
      },
    });
    entry.answer = answer;
    const begun = { answer, entry };
    this.open.set(writer, begun);
    return begun;
  }

  private end(writer: string): void {
    const answer = this.open.get(writer)?.answer;
    if (answer === undefined) return;
    answer.end();
    this.open.delete(writer);
    this.standing.ended(answer);
    const read = answer.whole.finally(() => {
      this.unread.delete(read);
      this.changed();
    });
    this.unread.add(read);
  }

  private add(event: SessionEvent, id: string, message?: Message): ChatEntry<Message> {
    const { actor, seq, inserted_at: insertedAt } = event;
    const entry = { id, actor, seq, lastSeq: seq, insertedAt, message, answer: undefined };
    this.entries.push(entry);
    this.byId.set(id, entry);
    return entry;
  }

  /** Takes out what began at `from` or later, but before `until`. */
  private setAside(from: number, until: number): void {
    const isAside = ({ seq }: { readonly seq: number }): boolean => seq >= from && seq < until;
    for (const entry of this.entries.filter(isAside)) {
      if (this.byId.get(entry.id) === entry) this.byId.delete(entry.id);
      if (entry.answer !== undefined) this.standing.setAside(entry.answer);
    }
    this.entries = this.entries.filter((entry) => !isAside(entry));
  }
}

/** Whether an answer may go on with a message: one of an assistant that nobody writes on. */
function isContinuable<Message extends UIMessage>({ answer, message }: ChatEntry<Message>): boolean {
  return answer === undefined ? message?.role === "assistant" : !answer.isOpen;
}
