import type { DaybookError, Session, SessionEvent } from "@daybook/client";

/** What takes a feed's events. */
export interface FeedSink {
  /**
   * Where in a page the part begins that can be taken without the page before it; undefined: nowhere. What is before it
   * waits for the page before.
   */
  readonly boundary: (events: readonly SessionEvent[]) => number | undefined;
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

/** As many as a screen of chat may need, and little to wait for. */
const PAGE_EVENTS = 400;
/** A page of the server. */
const PAGE_EVENTS_MAX = 1_000;
/** No answer is larger than that: rather the first of it is shown cut off than nothing at all. */
const UNSURE_EVENTS_MAX = 50_000;

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
  /** What is before the boundary, and waits for the page before it. */
  private waiting: readonly SessionEvent[] = [];
  /** The seqs of the first event that was read, and of the last. */
  private first: number | undefined;
  private last: number | undefined;
  private opening: Promise<void> | undefined;
  private following: AbortController | undefined;

  constructor(
    private readonly session: Session,
    private readonly sink: FeedSink,
    private readonly options: FeedOptions,
  ) {}

  /** The seq of the newest event. */
  get cursor(): number {
    return this.last ?? 0;
  }

  get hasOlder(): boolean {
    return (this.first ?? 1) > 1;
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
      await this.sink.older(await this.takeWhole([]));
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
      if (following.signal.aborted) return;
      this.opening = this.isOpen ? this.opening : undefined;
      this.error = error as DaybookError;
    }
    // It ended by itself: it may be started again.
    if (this.following === following) this.following = undefined;
    this.sink.changed();
  }

  private async open(): Promise<void> {
    const { initialEvents, cursor } = this.options;
    const known =
      initialEvents ?? (cursor === undefined ? await this.session.before(Infinity, this.pageEvents) : []);
    this.last = known.at(-1)?.seq ?? cursor ?? 0;
    this.first = known[0]?.seq ?? this.last + 1;
    await this.sink.opened(known.length === 0 ? [] : await this.takeWhole(known));
    this.isOpen = true;
    this.sink.changed();
  }

  private async follow(signal: AbortSignal): Promise<void> {
    this.error = undefined;
    for await (const event of this.session.events({ cursor: this.cursor, signal })) {
      this.last = event.seq;
      this.sink.arrived(event);
    }
  }

  /**
   * Reads pages before the events that wait, until something can be taken.
   *
   * @param newest events to take before anything is read
   * @returns what can be taken; the rest waits
   */
  private async takeWhole(newest: readonly SessionEvent[]): Promise<readonly SessionEvent[]> {
    let events = [...this.waiting, ...newest];
    let boundary = newest.length > 0 ? this.boundaryIn(events) : undefined;
    for (let limit = this.pageEvents; boundary === undefined; limit = PAGE_EVENTS_MAX) {
      const page = await this.session.before(this.first ?? 1, limit);
      this.first = page[0]?.seq ?? 1;
      events = [...page, ...events];
      boundary = this.boundaryIn(events);
    }
    this.waiting = events.slice(0, boundary);
    return events.slice(boundary);
  }

  private boundaryIn(events: readonly SessionEvent[]): number | undefined {
    if ((this.first ?? 1) <= 1 || events.length > UNSURE_EVENTS_MAX) return 0;
    return this.sink.boundary(events);
  }

  private get pageEvents(): number {
    return Math.min(this.options.pageEvents ?? PAGE_EVENTS, PAGE_EVENTS_MAX);
  }
}
