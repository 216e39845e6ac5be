import type { Session, SessionEvent } from "@daybook/client";

/** As many as a screen of chat may need, and little to wait for. */
const PAGE_EVENTS = 400;
/** A page of the server. */
const PAGE_EVENTS_MAX = 1_000;
/** No answer is larger than that: rather the first of it is shown cut off than nothing at all. */
const UNSURE_EVENTS_MAX = 50_000;

/**
 * Where in a page of events the part begins that can be taken without the page before it; undefined: nowhere. What is
 * before it waits for the page before.
 */
export type Boundary = (events: readonly SessionEvent[]) => number | undefined;

/** Reads a session backwards from its end, a page at a time, and gives out parts that are whole. */
export class WholePages {
  /** What is before the boundary, and waits for the page before it. */
  private waiting: readonly SessionEvent[] = [];
  /** The seq of the first event that was read. */
  private first: number | undefined;
  private readonly pageEvents: number;

  constructor(
    private readonly session: Session,
    private readonly boundary: Boundary,
    pageEvents = PAGE_EVENTS,
  ) {
    this.pageEvents = Math.min(pageEvents, PAGE_EVENTS_MAX);
  }

  get hasOlder(): boolean {
    return (this.first ?? 1) > 1;
  }

  /** The newest events. @param known those that were read before; they are asked for else */
  async newest(known?: readonly SessionEvent[]): Promise<readonly SessionEvent[]> {
    const page = known ?? (await this.session.before(Infinity, this.pageEvents));
    this.first = page[0]?.seq;
    return page.length === 0 ? page : this.takeWhole(page);
  }

  /** Events after this seq are somebody else's; those before it are older. */
  beginAfter(seq: number): void {
    this.first = seq + 1;
  }

  /** The events before those that were given out: a page, and as many more as it takes. */
  older(): Promise<readonly SessionEvent[]> {
    return this.takeWhole([]);
  }

  private async takeWhole(newest: readonly SessionEvent[]): Promise<readonly SessionEvent[]> {
    let events = newest;
    let first = this.first ?? 1;
    let boundary = newest.length > 0 ? this.boundaryIn(events, first) : undefined;
    if (newest.length === 0) events = this.waiting;
    for (let limit = this.pageEvents; boundary === undefined; limit = PAGE_EVENTS_MAX) {
      const page = await this.session.before(first, limit);
      first = page[0]?.seq ?? 1;
      events = [...page, ...events];
      boundary = this.boundaryIn(events, first);
    }
    // Not before: a page that could not be read is read again.
    this.first = first;
    this.waiting = events.slice(0, boundary);
    return events.slice(boundary);
  }

  private boundaryIn(events: readonly SessionEvent[], first: number): number | undefined {
    if (first <= 1 || events.length > UNSURE_EVENTS_MAX) return 0;
    return this.boundary(events);
  }
}
