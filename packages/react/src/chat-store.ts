import type { Session, SessionEvent } from "@daybook/client";
import { isStop, turnBoundary } from "@daybook/client/ai";
import { readUIMessageStream, type UIMessage } from "ai";
import type { MessageReader } from "./answer.js";
import { ChatCallbacks } from "./chat-callbacks.js";
import { ChatLog } from "./chat-log.js";
import type { Standing } from "./chat-standing.js";
import type { ChatOptions, ChatView, ShownOrigin } from "./chat-types.js";
import { readChat } from "./load-chat.js";
import { LocalMessages, messagesOf } from "./local-messages.js";
import { SessionFeed } from "./session-feed.js";
import { standingOf } from "./standing-of.js";
import { ToolAnswers } from "./tool-answers.js";
import { UnsentMessages } from "./unsent-messages.js";
import { ViewStore } from "./view-store.js";

/**
 * A chat in a session, for whoever shows it: what is in the log, and what is on its way there. It reads as long as somebody
 * is subscribed.
 */
export class ChatStore<Message extends UIMessage> {
  readonly view: ViewStore<ChatView<Message>>;
  readonly unsent = new UnsentMessages<Message>();
  readonly toolAnswers = new ToolAnswers<Message>();
  private readonly log: ChatLog<Message>;
  private readonly feed: SessionFeed | undefined;
  private readonly callbacks: ChatCallbacks<Message>;
  private local: LocalMessages<Message> | undefined;
  /** Somebody here has stopped it, and that is not in the log yet. */
  private isStopping = false;
  /** What went wrong here, and what has been cleared of what the log says. */
  private failure: Error | undefined;
  private cleared: Error | undefined;
  private readonly watching: (() => void)[] = [];

  /**
   * @param options the newest ones, whenever they are asked for
   * @param answered an answer to what was asked here is whole
   */
  constructor(
    readonly session: Session | undefined,
    readonly options: () => ChatOptions<Message>,
    answered: () => void,
  ) {
    this.log = new ChatLog<Message>(readUIMessageStream as MessageReader<Message>, () =>
      this.view.publishSoon(),
    );
    this.callbacks = new ChatCallbacks(options, {
      messages: () => this.view.snapshot().messages,
      answered,
      failed: (error) => this.failed(error),
    });
    this.feed = session && new SessionFeed(session, this.sink(), options());
    this.view = new ViewStore({
      initial: firstView(options()),
      current: () => this.currentView(),
      start: () => this.start(),
      stop: () => this.stop(),
      throttleMs: () => options().throttle,
    });
  }

  /** What goes wrong is told in the view. */
  async loadOlder(): Promise<void> {
    try {
      await this.feed?.loadOlder();
    } catch (error) {
      this.failed(error);
    }
  }

  originOf(id: string): ShownOrigin {
    const entry = this.log.entry(id);
    const isPending = this.unsent.has(id);
    if (entry !== undefined && !isPending) {
      const { actor, seq, insertedAt } = entry;
      return { actor, seq, insertedAt, isPending };
    }
    const actor = this.session?.actor;
    return { isPending, ...(actor !== undefined && { actor }) };
  }

  setMessages(messages: readonly Message[]): void {
    this.local = new LocalMessages(messages, this.log, this.feed?.cursor ?? 0);
    this.publish();
  }

  /** Shows it as stopped until the log says so; `false`: it will not. */
  stopping(isStopping = true): void {
    this.isStopping = isStopping;
    if (isStopping) this.unsent.stop();
    this.publish();
  }

  failed(error: unknown): void {
    this.failure = error instanceof Error ? error : new Error(String(error));
    this.publish();
    this.options().onError?.(this.failure);
  }

  /** @returns whether what went wrong went wrong here */
  clearError(): boolean {
    const wasHere = this.failure !== undefined;
    this.failure = undefined;
    this.cleared = this.readStanding.error;
    this.publish();
    return wasHere;
  }

  publish(): void {
    this.view.publish();
  }

  private start(): void {
    const { session, feed } = this;
    if (session === undefined || feed === undefined) return;
    this.unsent.find(session.snapshot().pending);
    this.watching.push(
      session.on("status", ({ status, outbox }) => {
        // Those that a page before this one has left come out of the store late.
        if (outbox.pending > 0) this.unsent.find(session.snapshot().pending);
        // A session that may be read again goes on.
        if (status !== "ended" && status !== "closed") feed.start();
        this.view.publishSoon();
      }),
      session.on("append", (progress) => {
        this.unsent.progressed(progress, feed.cursor);
        this.view.publishSoon();
      }),
    );
    feed.start();
  }

  private stop(): void {
    for (const stop of this.watching.splice(0)) stop();
    this.feed?.stop();
  }

  private sink(): ConstructorParameters<typeof SessionFeed>[1] {
    return {
      boundary: turnBoundary,
      opened: async (events) => {
        for (const event of events) this.take(event);
        await this.log.settled();
      },
      arrived: (event) => {
        const { entry, isFromHere } = this.take(event);
        this.callbacks.arrived(event, entry, isFromHere);
      },
      older: async (events) => {
        this.log.prepend(await readChat(events));
      },
      changed: () => this.publish(),
    };
  }

  private take(event: SessionEvent): {
    readonly entry: ReturnType<ChatLog<Message>["push"]>;
    readonly isFromHere: boolean;
  } {
    if (isStop(event)) this.isStopping = false;
    const isFromHere = this.unsent.arrived(event);
    return { entry: this.log.push(event), isFromHere };
  }

  private currentView(): ChatView<Message> {
    const { log, feed } = this;
    const initial = this.view.initial();
    const isOpen = feed?.isOpen === true;
    const known = isOpen ? (this.local?.shown() ?? messagesOf(log.entries)) : initial.messages;
    const error = this.failure ?? feed?.error ?? this.errorOfLog;
    return {
      messages: this.unsent.after(this.toolAnswers.writtenInto(known)),
      status: this.status(error),
      error,
      isLoading: initial.isLoading && !isOpen && feed?.error === undefined,
      hasOlder: isOpen ? feed.hasOlder : initial.hasOlder,
      isLoadingOlder: feed?.isLoadingOlder === true,
      cursor: isOpen ? feed.cursor : initial.cursor,
      connection: this.session?.status ?? "idle",
    };
  }

  /** What the events say that are read; the first ones are read later than they are looked at. */
  private get readStanding(): { readonly status: Standing; readonly error: Error | undefined } {
    return this.feed?.isOpen === true ? this.log.standing : this.view.initial();
  }

  private get errorOfLog(): Error | undefined {
    const { error } = this.readStanding;
    return error === this.cleared ? undefined : error;
  }

  private status(error: Error | undefined): Standing {
    if (this.failure !== undefined || this.feed?.error !== undefined) return "error";
    if (this.unsent.isAsking) return "submitted";
    if (this.isStopping) return "ready";
    const { status } = this.readStanding;
    return status === "error" && error === undefined ? "ready" : status;
  }
}

function firstView<Message extends UIMessage>({
  messages,
  initialEvents,
  cursor,
}: ChatOptions<Message>): ChatView<Message> {
  const { status, error } = standingOf(initialEvents ?? []);
  return {
    messages: [...(messages ?? [])],
    status,
    error,
    isLoading: messages === undefined || initialEvents === undefined,
    hasOlder: (initialEvents?.[0]?.seq ?? 1) > 1,
    isLoadingOlder: false,
    cursor: initialEvents?.at(-1)?.seq ?? cursor ?? 0,
    connection: "idle",
  };
}
