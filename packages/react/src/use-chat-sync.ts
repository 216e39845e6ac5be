"use client";

import type { UIMessage } from "ai";
import { useEffect, useRef } from "react";
import type { ChatOptions } from "./chat-types.js";
import { type DaybookChat, useDaybookChat } from "./use-daybook-chat.js";

/** As much of what `useChat` gives as is used here. */
export interface SyncedChat<Message extends UIMessage> {
  readonly messages: Message[];
  readonly setMessages: (messages: Message[] | ((messages: Message[]) => Message[])) => void;
  readonly status: "submitted" | "streaming" | "ready" | "error";
  readonly resumeStream: () => Promise<void>;
}

export type SyncOptions<Message extends UIMessage> = Pick<
  ChatOptions<Message>,
  "session" | "initialEvents" | "cursor" | "messages" | "pageEvents" | "throttle"
>;

/** What there is to know of the session beside what `useChat` shows. */
export type ChatSync<Message extends UIMessage> = Pick<
  DaybookChat<Message>,
  "isLoading" | "hasOlder" | "isLoadingOlder" | "loadOlder" | "connection" | "originOf"
>;

/**
 * Keeps the AI SDK's `useChat` in step with the session that its `DaybookChatTransport` talks through: it shows the
 * messages so far, what other tabs and people ask, and every agent's answers while they are written.
 *
 * @example
 * const chat = useChat({ transport });
 * const { hasOlder, loadOlder } = useChatSync(chat, { session });
 */
export function useChatSync<Message extends UIMessage>(
  chat: SyncedChat<Message>,
  options: SyncOptions<Message>,
): ChatSync<Message> {
  const { session } = options;
  const { messages, setMessages, status, resumeStream } = chat;
  const log = useDaybookChat<Message>(options);
  /** The messages that were handed over last, and where the log stood when an answer was resumed. */
  const synced = useRef<readonly Message[]>([]);
  const resumedAt = useRef(-1);
  // Another chat knows nothing yet; in strict mode, the same one has given up what it was at.
  useEffect(
    () => () => {
      synced.current = [];
      resumedAt.current = -1;
    },
    [session, setMessages],
  );
  useEffect(() => {
    // What is read here may be behind what the chat has been told: it is about to be told here too.
    if (log.isLoading || session === undefined || log.cursor < session.cursor) return;
    if (isBusy(status)) {
      if (withOlder(messages, log.messages) !== messages)
        setMessages((current) => withOlder(current, log.messages));
      return;
    }
    if (synced.current !== log.messages) setMessages(log.messages);
    synced.current = log.messages;
    if (!isBusy(log.status) || resumedAt.current === log.cursor) return;
    resumedAt.current = log.cursor;
    void resumeStream();
    // Messages of the chat alone are no reason: the chat shows those itself.
  }, [session, log, status, setMessages]);
  const { isLoading, hasOlder, isLoadingOlder, loadOlder, connection, originOf } = log;
  return { isLoading, hasOlder, isLoadingOlder, loadOlder, connection, originOf };
}

function isBusy(status: SyncedChat<never>["status"]): boolean {
  return status === "submitted" || status === "streaming";
}

/** Messages with those before them that were loaded meanwhile; the same array if there are none. */
function withOlder<Message extends UIMessage>(messages: Message[], known: readonly Message[]): Message[] {
  const index = known.findIndex(({ id }) => id === messages[0]?.id);
  return index > 0 ? [...known.slice(0, index), ...messages] : messages;
}
