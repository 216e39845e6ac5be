import type { UIMessage } from "ai";
import type { ChatEntry, ChatLog } from "./chat-log.js";

/**
 * Messages as somebody here has set them (`setMessages`, a tool's output), which the log knows nothing of. They stand in
 * for what was shown then: what the log says of such a message afterwards, and messages that begin afterwards, count again.
 */
export class LocalMessages<Message extends UIMessage> {
  /** Those that were the log's own: they are shown as the log has them, and go with it. */
  private readonly followed: ReadonlySet<Message>;

  /** @param setAtSeq the seq of the newest event then */
  constructor(
    private readonly messages: readonly Message[],
    private readonly log: ChatLog<Message>,
    private readonly setAtSeq: number,
  ) {
    this.followed = new Set(messages.filter((message) => log.entry(message.id)?.message === message));
  }

  shown(): Message[] {
    const here = this.messages.flatMap((message) => this.current(message) ?? []);
    const ids = new Set(here.map(({ id }) => id));
    const since = this.log.entries.filter(({ id, seq }) => seq > this.setAtSeq && !ids.has(id));
    return [...here, ...messagesOf(since)];
  }

  private current(message: Message): Message | undefined {
    const entry = this.log.entry(message.id);
    if (this.followed.has(message)) return entry?.message;
    return entry !== undefined && entry.lastSeq > this.setAtSeq ? entry.message : message;
  }
}

export function messagesOf<Message extends UIMessage>(entries: readonly ChatEntry<Message>[]): Message[] {
  return entries.flatMap(({ message }) => message ?? []);
}
