import type {
  AppendInput,
  AppendResult,
  DaybookError,
  OutboxStatus,
  OutgoingGroup,
  Session,
  SessionEvent,
  TailStatus,
} from "@daybook/client";
import { type FeedOptions, SessionFeed } from "./session-feed.js";
import { ViewStore } from "./view-store.js";

/** What is shown of a session. The same object until something changes. */
export interface SessionView {
  /** The newest page and all that came since, and the older pages that were asked for: contiguous, ascending. */
  readonly events: readonly SessionEvent[];
  /** Of the session's tail: `live`, `offline` … */
  readonly status: TailStatus;
  /** Whether appends are on their way, and what keeps them. */
  readonly outbox: OutboxStatus;
  /** Appends that are not acknowledged, in order. */
  readonly pending: readonly OutgoingGroup[];
  /** Why nothing more comes or goes: what can be tried again by itself is not said here. */
  readonly error: DaybookError | undefined;
  /** The newest events are on their way. */
  readonly isLoading: boolean;
  /** There are events before the first one. */
  readonly hasOlder: boolean;
  readonly isLoadingOlder: boolean;
}

export interface SessionStoreOptions extends FeedOptions {
  /** Renders at most once in this time (ms), however fast events come. */
  readonly throttle?: number;
}

const EMPTY: OutboxStatus = { state: "empty", pending: 0 };

/** A session's events for whoever shows them. It reads as long as somebody is subscribed. */
export class SessionStore {
  readonly store: ViewStore<SessionView>;
  private readonly feed: SessionFeed | undefined;
  private events: readonly SessionEvent[];
  /** Those that came since the last time somebody was told. */
  private arrived: SessionEvent[] = [];
  private outgoing: Pick<SessionView, "outbox" | "pending"> = { outbox: EMPTY, pending: [] };
  private olderError: DaybookError | undefined;
  private readonly watching: (() => void)[] = [];

  constructor(
    readonly session: Session | undefined,
    options: SessionStoreOptions,
  ) {
    const { initialEvents = [], cursor, throttle } = options;
    this.events = initialEvents;
    this.feed = session && new SessionFeed(session, this.sink(), options);
    this.store = new ViewStore({
      initial: {
        events: initialEvents,
        status: "idle",
        ...this.outgoing,
        error: undefined,
        isLoading: initialEvents.length === 0 && cursor === undefined,
        hasOlder: (initialEvents[0]?.seq ?? (cursor ?? 0) + 1) > 1,
        isLoadingOlder: false,
      },
      current: () => this.current(),
      start: () => this.start(),
      stop: () => this.stop(),
      throttleMs: () => throttle,
    });
  }

  readonly append = (input: AppendInput & { readonly expectedSeq?: number }): Promise<AppendResult> =>
    this.session?.append(input) ??
    Promise.reject(new Error("There is no session yet: give useSession one before anything is appended."));

  /** What goes wrong is told in the view. */
  readonly loadOlder = async (): Promise<void> => {
    this.olderError = undefined;
    try {
      await this.feed?.loadOlder();
    } catch (error) {
      this.olderError = error as DaybookError;
      this.store.publish();
    }
  };

  private sink(): ConstructorParameters<typeof SessionFeed>[1] {
    return {
      // Events stand by themselves.
      boundary: () => 0,
      opened: (events) => {
        if (events.length !== this.events.length) this.events = events;
        return Promise.resolve();
      },
      arrived: (event) => {
        this.arrived.push(event);
        this.store.publishSoon();
      },
      older: (events) => {
        this.events = [...events, ...this.events];
        return Promise.resolve();
      },
      changed: () => this.store.publish(),
    };
  }

  private start(): void {
    const { session, feed } = this;
    if (session === undefined || feed === undefined) return;
    this.watching.push(
      session.on("status", ({ status }) => {
        this.lookAtOutbox(session);
        // A session that may be read again goes on.
        if (status !== "ended" && status !== "closed") feed.start();
        this.store.publishSoon();
      }),
      session.on("append", () => {
        this.lookAtOutbox(session);
        this.store.publishSoon();
      }),
    );
    this.lookAtOutbox(session);
    feed.start();
  }

  /** Not at each event: a snapshot is a copy of all that the session holds. */
  private lookAtOutbox(session: Session): void {
    const { outbox, pending } = session.snapshot();
    this.outgoing = { outbox, pending };
  }

  private stop(): void {
    for (const stop of this.watching.splice(0)) stop();
    this.feed?.stop();
  }

  private current(): SessionView {
    const { session, feed } = this;
    const { initial } = this.store;
    if (session === undefined || feed === undefined) return initial();
    if (this.arrived.length > 0) this.events = [...this.events, ...this.arrived];
    this.arrived = [];
    const { outbox, pending } = this.outgoing;
    return {
      events: this.events,
      status: session.status,
      outbox,
      pending,
      error: feed.error ?? this.olderError ?? (outbox.state === "paused" ? outbox.error : undefined),
      isLoading: !feed.isOpen && feed.error === undefined && initial().isLoading,
      hasOlder: feed.isOpen ? feed.hasOlder : initial().hasOlder,
      isLoadingOlder: feed.isLoadingOlder,
    };
  }
}
