import type { AppendProgress, OutgoingEvent, OutgoingGroup, SessionEvent } from "@daybook/client";
import { userMessageOf } from "@daybook/client/ai";
import type { UIMessage } from "ai";

interface Unsent<Message extends UIMessage> {
  readonly message: Message;
  /** Somebody here stopped what would answer it. */
  isStopped: boolean;
  isRefused: boolean;
}

/**
 * Messages that are to be seen before they are in the log: from the moment they are sent, or found in an outbox that a
 * page before this one has left, until their event comes in.
 */
export class UnsentMessages<Message extends UIMessage> {
  private readonly byId = new Map<string, Unsent<Message>>();

  has(id: string): boolean {
    return this.byId.has(id);
  }

  /** Whether some of them wait for an answer. */
  get isAsking(): boolean {
    return [...this.byId.values()].some(({ message, isStopped }) => message.role !== "system" && !isStopped);
  }

  add(message: Message): void {
    // Sent again, it is the last one.
    this.byId.delete(message.id);
    this.byId.set(message.id, { message, isStopped: false, isRefused: false });
  }

  /** Looks for messages in an outbox. */
  find(pending: readonly OutgoingGroup[]): void {
    for (const message of pending.flatMap(({ events }) => messagesIn<Message>(events)))
      if (!this.byId.has(message.id)) this.add(message);
  }

  stop(): void {
    for (const unsent of this.byId.values()) unsent.isStopped = true;
  }

  /** It stays to be seen until it is given up. */
  refused(id: string): void {
    const unsent = this.byId.get(id);
    if (unsent !== undefined) unsent.isRefused = true;
  }

  /** @param pending what is in the outbox all the same, and goes its way */
  giveUpRefused(pending: readonly OutgoingGroup[]): void {
    const waiting = new Set(pending.flatMap(({ events }) => messagesIn(events)).map(({ id }) => id));
    for (const [id, { isRefused }] of this.byId) if (isRefused && !waiting.has(id)) this.byId.delete(id);
  }

  /** @returns whether the event is one of these messages */
  arrived(event: SessionEvent): boolean {
    const message = userMessageOf(event);
    return message !== undefined && this.byId.delete(message.id);
  }

  /** @param cursor the seq of the newest event that came in: what stands before it will not come any more */
  progressed({ kind, events, results = [] }: AppendProgress, cursor: number): void {
    const isSeen = kind === "acknowledged" && results.every(({ seq }) => seq <= cursor);
    if (kind !== "discarded" && !isSeen) return;
    for (const { id } of messagesIn<Message>(events)) this.byId.delete(id);
  }

  /** These after those of the log, or in the place of one that is sent again. */
  after(messages: readonly Message[]): Message[] {
    let shown = [...messages];
    for (const { message } of this.byId.values()) {
      const before = shown.findIndex(({ id }) => id === message.id);
      shown = [...(before < 0 ? shown : shown.slice(0, before)), message];
    }
    return shown;
  }
}

function messagesIn<Message extends UIMessage>(events: readonly OutgoingEvent[]): Message[] {
  return events.flatMap((event) => (userMessageOf({ ...event, seq: 0 }) as Message | undefined) ?? []);
}
