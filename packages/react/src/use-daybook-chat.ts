"use client";

import type { UIMessage } from "ai";
import { useMemo, useRef, useState, useSyncExternalStore } from "react";
import { ChatActions } from "./chat-actions.js";
import { ChatStore } from "./chat-store.js";
import type { ChatMethods, ChatOptions, ChatView, ShownOrigin } from "./chat-types.js";

/** What `useDaybookChat` gives: all that `useChat` does, and more. */
export type DaybookChat<Message extends UIMessage> = ChatView<Message> &
  ChatMethods<Message> & {
    readonly id: string;
    /** Shows other messages, here alone: the log stays as it is. What comes in later is added to them. */
    readonly setMessages: (messages: Message[] | ((messages: Message[]) => Message[])) => void;
    /** Loads the messages before the first one: a page of whole turns. */
    readonly loadOlder: () => Promise<void>;
    /** Who wrote a message, when, and whether it is committed. */
    readonly originOf: (message: Pick<Message, "id">) => ShownOrigin;
  };

/**
 * A chat in a session, with the surface of the AI SDK's `useChat`. The session is the truth: every tab and every browser
 * shows the same, a reload in the middle of an answer goes on with it, and what is sent while offline is sent later.
 *
 * @example
 * const { messages, sendMessage, status, stop } = useDaybookChat({ session });
 */
export function useDaybookChat<Message extends UIMessage = UIMessage>(
  options: ChatOptions<Message>,
): DaybookChat<Message> {
  const newest = useRef(options);
  // At once and not in an effect: a chat that is opened while this renders looks at them.
  newest.current = options;
  const { session, id } = options;
  const [opened, setOpened] = useState(() => openChat(session, newest));
  // Another session is another chat. The new one is used at once: nothing of the old one is shown under its name.
  const chat = opened.store.session === session ? opened : openChat(session, newest);
  if (chat !== opened) setOpened(chat);
  const { store, actions } = chat;
  const view = useSyncExternalStore(store.view.subscribe, store.view.snapshot, store.view.initial);
  return useMemo(
    () => ({
      ...view,
      ...actions.methods,
      id: id ?? session?.id ?? "",
      setMessages: actions.setMessages,
      loadOlder: actions.loadOlder,
      originOf: (message: Pick<Message, "id">) => store.originOf(message.id),
    }),
    [view, actions, store, id, session],
  );
}

interface OpenChat<Message extends UIMessage> {
  readonly store: ChatStore<Message>;
  readonly actions: ChatActions<Message>;
}

function openChat<Message extends UIMessage>(
  session: ChatOptions<Message>["session"],
  newest: { readonly current: ChatOptions<Message> },
): OpenChat<Message> {
  const store: ChatStore<Message> = new ChatStore<Message>(
    session,
    () => newest.current,
    () => void actions.sendIfAutomatic(),
  );
  const actions = new ChatActions(store);
  return { store, actions };
}
