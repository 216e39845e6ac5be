import type { Session, SessionEvent, TailStatus } from "@daybook/client";
import type { AbstractChat, ChatInit, UIMessage } from "ai";
import type { MessageOrigin } from "./chat-log.js";
import type { Standing } from "./chat-standing.js";

/** What a chat is opened with. All but the first five are `useChat`'s own. */
export interface ChatOptions<Message extends UIMessage> extends Pick<
  ChatInit<Message>,
  "id" | "generateId" | "onError" | "onFinish" | "onData" | "onToolCall" | "sendAutomaticallyWhen"
> {
  /** The session to read and write; undefined as long as there is none, on a server say. */
  readonly session: Session | undefined;
  /** The newest events, as they were read before, so that the chat need not ask for them. */
  readonly initialEvents?: readonly SessionEvent[];
  /** The seq up to which `initialEvents` go: that of the last one, if left out. */
  readonly cursor?: number;
  /** Shown until the session's events are read: what they will say. `loadChat` makes them. */
  readonly messages?: Message[];
  /** How many events a page of history has, before it is filled up to whole turns; 400 if left out. */
  readonly pageEvents?: number;
  /** Renders at most once in this time (ms), however fast chunks come. */
  readonly throttle?: number;
}

type Method =
  | "sendMessage"
  | "regenerate"
  | "stop"
  | "resumeStream"
  | "clearError"
  | "addToolResult"
  | "addToolOutput"
  | "addToolApprovalResponse";

/** `useChat`'s methods, of whichever version of the AI SDK is there. */
export type ChatMethods<Message extends UIMessage> = Pick<
  AbstractChat<Message>,
  Extract<keyof AbstractChat<Message>, Method>
>;

/** What is shown. The same object until something changes. */
export interface ChatView<Message extends UIMessage> {
  /** Each the same object until it changes. */
  readonly messages: Message[];
  /** As in `useChat`. */
  readonly status: Standing;
  readonly error: Error | undefined;
  /** The newest messages are on their way. */
  readonly isLoading: boolean;
  /** There are messages before the first one. */
  readonly hasOlder: boolean;
  readonly isLoadingOlder: boolean;
  /** The seq up to which the session is read. */
  readonly cursor: number;
  /** Of the session's tail: `live`, `offline` … */
  readonly connection: TailStatus;
}

/** What a message in the view is, beside what it says. */
export interface ShownOrigin extends Partial<MessageOrigin> {
  /** It is not committed yet. */
  readonly isPending: boolean;
}
