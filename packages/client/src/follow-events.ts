import { asDaybookError, type DaybookError } from "./errors.js";
import type { EventPage, SessionEvent } from "./wire.js";

/** What a follower reads from. */
export interface FollowSource {
  /** Events in memory that follow on a cursor; undefined when the next one is not there. */
  held(cursor: number): readonly SessionEvent[] | undefined;
  /** A page from the server. @throws DaybookError */
  page(cursor: number): Promise<EventPage>;
  /** Set when nothing more will come. */
  end(): { readonly error?: DaybookError } | undefined;
  /** Calls back when any of this may be another; the result takes that back. */
  changed(wake: () => void): () => void;
}

/**
 * Catching up and following are one loop: read after the cursor; nothing there: wait for a hint; read again. A slow
 * reader simply reads later, out of memory or from the server, so nothing queues up for it.
 */
export async function* followEvents(
  source: FollowSource,
  from: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<SessionEvent, void, undefined> {
  let cursor = from;
  const hint = new Hint(source, signal);
  try {
    while (!hint.isAborted()) {
      const seen = hint.count;
      const events = source.held(cursor) ?? (await readPage(source, cursor, hint));
      for (const event of events) {
        if (hint.isAborted()) return;
        cursor = event.seq;
        yield event;
      }
      if (events.length > 0) continue;
      const end = source.end();
      if (end?.error !== undefined) throw end.error;
      if (end !== undefined) return;
      await hint.after(seen);
    }
  } finally {
    hint.stop();
  }
}

async function readPage(source: FollowSource, cursor: number, hint: Hint): Promise<readonly SessionEvent[]> {
  try {
    return (await source.page(cursor)).events;
  } catch (error) {
    if (hint.isAborted()) return [];
    throw asDaybookError(error);
  }
}

/** Counts changes, so that none between a read and the wait after it is missed. */
class Hint {
  count = 0;
  private wake: () => void = () => undefined;
  private readonly unwatch: () => void;
  private readonly changed = (): void => {
    this.count++;
    this.wake();
  };

  constructor(
    source: FollowSource,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.unwatch = source.changed(this.changed);
    signal?.addEventListener("abort", this.changed);
  }

  /** Asked anew after every wait. */
  isAborted(): boolean {
    return this.signal?.aborted === true;
  }

  after(count: number): Promise<void> {
    return this.count > count ? Promise.resolve() : new Promise((resolve) => (this.wake = resolve));
  }

  stop(): void {
    this.unwatch();
    this.signal?.removeEventListener("abort", this.changed);
  }
}
