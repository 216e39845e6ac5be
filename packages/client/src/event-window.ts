import type { SessionEvent } from "./wire.js";

/** Ahead of every session: where the end is, the server says. */
export const END = Number.MAX_SAFE_INTEGER;

/** The newest events of a session that are kept in memory: contiguous, ending at the cursor. */
export class EventWindow {
  private kept: SessionEvent[] = [];
  private last: number;

  constructor(
    cursor: number,
    private readonly eventsMax: number,
  ) {
    this.last = cursor;
  }

  /** The seq of the newest event; with none, where the window begins. */
  get cursor(): number {
    return this.last;
  }

  get events(): readonly SessionEvent[] {
    return this.kept;
  }

  /**
   * Takes the events that follow, in order, and passes over those it has had.
   * @returns those it took, and whether one was missing before the rest
   */
  push(events: readonly SessionEvent[]): {
    readonly taken: readonly SessionEvent[];
    readonly isBroken: boolean;
  } {
    const taken: SessionEvent[] = [];
    let isBroken = false;
    for (const event of events) {
      if (event.seq <= this.last) continue;
      isBroken = event.seq !== this.last + 1;
      if (isBroken) break;
      this.last = event.seq;
      taken.push(event);
    }
    for (const event of taken) this.kept.push(event);
    // Not at each event: letting go of the first of an array moves all others.
    if (this.kept.length > this.eventsMax * 1.25) this.kept = this.kept.slice(-this.eventsMax);
    return { taken, isBroken };
  }

  /** What is kept of the events after a cursor, as much as follows on it; undefined when the next one is not kept. */
  after(cursor: number): readonly SessionEvent[] | undefined {
    const first = this.last - this.kept.length;
    return cursor < first || cursor > this.last ? undefined : this.kept.slice(cursor - first);
  }

  /** Begins anew after a seq. */
  reset(cursor: number): void {
    this.kept = [];
    this.last = cursor;
  }
}
