import type { DaybookError, Session, SessionEvent } from "@daybook/client";
import { type Boundary, WholePages } from "./whole-pages.js";

/** What takes a feed's events. */
export interface FeedSink {
  readonly boundary: Boundary;
  /** The first events, from the end of the session. */
  readonly opened: (events: readonly SessionEvent[]) => Promise<void>;
  /** The next event. */
  readonly arrived: (event: SessionEvent) => void;
  /** Events just before the first. */
  readonly older: (events: readonly SessionEvent[]) => Promise<void>;
  /** `isOpen`, `hasOlder`, `isLoadingOlder` or `error` is another. */
  readonly changed: () => void;
}

export interface FeedOptions {
  /** The newest events, as they were read before: contiguous, up to `cursor`. */
  readonly initialEvents?: readonly SessionEvent[];
  /** The seq up to which `initialEvents` go: that of the last one, if left out. */
  readonly cursor?: number;
  /** How many events the first page has, and those before it. */
  readonly pageEvents?: number;
}

/**
 * A session opened at its end: the newest page, then what comes, and older pages when they are asked for. It can be
 * started and stopped any number of times; what it has read it keeps.
 */
export class SessionFeed {
  /** The newest events are there. */
  isOpen = false;
  isLoadingOlder = false;
  /** Why nothing more comes. */
  error: DaybookError | undefined;
  /** The seq of the newest event. */
  cursor = 0;
  private readonly pages: WholePages;
  private opening: Promise<void> | undefined;
  private following: AbortController | undefined;

  constructor(
    private readonly session: Session,
    private readonly sink: FeedSink,
    private readonly options: FeedOptions,
  ) {
    this.pages = new WholePages(session, sink.boundary, options.pageEvents);
  }

  get hasOlder(): boolean {
    return this.pages.hasOlder;
  }

  start(): void {
    if (this.following !== undefined) return;
    const following = new AbortController();
    this.following = following;
    void this.run(following);
  }

  stop(): void {
    this.following?.abort();
    this.following = undefined;
  }

  /** Reads the events before those that were read: whole turns, a page at least. */
  async loadOlder(): Promise<void> {
    if (!this.isOpen || this.isLoadingOlder || !this.hasOlder) return;
    this.isLoadingOlder = true;
    this.sink.changed();
    try {
      await this.sink.older(await this.pages.older());
    } finally {
      this.isLoadingOlder = false;
      this.sink.changed();
    }
  }

  private async run(following: AbortController): Promise<void> {
    try {
      this.opening ??= this.open();
      await this.opening;
      await this.follow(following.signal);
    } catch (error) {
      // What could not be opened is opened anew.
      if (!this.isOpen) this.opening = undefined;
      if (following.signal.aborted) return;
      this.error = error as DaybookError;
    }
    // It ended by itself: it may be started again.
    if (this.following === following) this.following = undefined;
    this.sink.changed();
  }

  private async open(): Promise<void> {
    const { initialEvents, cursor } = this.options;
    const isKnown = initialEvents !== undefined || cursor !== undefined;
    const events = await this.pages.newest(isKnown ? (initialEvents ?? []) : undefined);
    this.cursor = events.at(-1)?.seq ?? cursor ?? 0;
    if (events.length === 0) this.pages.beginAfter(this.cursor);
    await this.sink.opened(events);
    this.isOpen = true;
    this.sink.changed();
  }

  private async follow(signal: AbortSignal): Promise<void> {
    this.error = undefined;
    for await (const event of this.session.events({ cursor: this.cursor, signal })) {
      this.cursor = event.seq;
      this.sink.arrived(event);
    }
  }
}
