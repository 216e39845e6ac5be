import type { Session, SessionEvent } from "@daybook/client";
import { turnBoundary } from "@daybook/client/ai";
import { readUIMessageStream, type UIMessage } from "ai";
import type { MessageReader } from "./answer.js";
import { ChatLog } from "./chat-log.js";
import { messagesOf } from "./local-messages.js";
import { WholePages } from "./whole-pages.js";

/** What a chat is opened with. It is JSON all through: a server may send it along with a page. */
export interface LoadedChat<Message extends UIMessage> {
  /** The newest messages; the last one as far as it is written. */
  readonly messages: Message[];
  /** The events they are made of, and the seq up to which these go. */
  readonly initialEvents: readonly SessionEvent[];
  readonly cursor: number;
}

export interface LoadOptions {
  /** How many events a page of history has, before it is filled up to whole turns; 400 if left out. */
  readonly pageEvents?: number;
}

/**
 * Reads the newest page of a chat: on a server, before it renders, or anywhere else. Given to `useDaybookChat`, the chat
 * is there at the first render, and goes on from the cursor.
 *
 * @example
 * const loaded = await loadChat(session);
 * // … and in the component:
 * const { messages } = useDaybookChat({ session, ...loaded });
 */
export async function loadChat<Message extends UIMessage = UIMessage>(
  session: Session,
  options: LoadOptions = {},
): Promise<LoadedChat<Message>> {
  const initialEvents = await newestTurns(session, options);
  const log = await readChat<Message>(initialEvents);
  return { messages: messagesOf(log.entries), initialEvents, cursor: initialEvents.at(-1)?.seq ?? 0 };
}

/** The newest events: a page, and as many before it as it takes for whole turns. */
export function newestTurns(
  session: Session,
  { pageEvents }: LoadOptions = {},
): Promise<readonly SessionEvent[]> {
  return new WholePages(session, turnBoundary, pageEvents).newest();
}

/** Whole turns, read by the AI SDK's reader. */
export async function readChat<Message extends UIMessage>(
  events: readonly SessionEvent[],
): Promise<ChatLog<Message>> {
  const log = new ChatLog<Message>(readUIMessageStream as MessageReader<Message>);
  for (const event of events) log.push(event);
  await log.settled();
  return log;
}
