import { asDaybookError, type DaybookError } from "./errors.js";
import type { SessionEvent } from "./wire.js";

/** What a follower reads from. */
export interface FollowSource {
  /** Events in memory that follow on a cursor; undefined when the next one is not there. */
  held(cursor: number): readonly SessionEvent[] | undefined;
  /** A page from the server. @throws DaybookError */
  page(cursor: number): Promise<readonly SessionEvent[]>;
  /** Set when nothing more will come. */
  end(): { readonly error?: DaybookError } | undefined;
  /** Calls back when any of this may be another; the result takes that back. */
  watch(changed: () => void): () => void;
  /** Waits before a page is asked for again. */
  pause(failures: number): Promise<void>;
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
  let failures = 0;
  const hint = new Hint(source, signal);
  try {
    while (!hint.isAborted()) {
      const seen = hint.count;
      const held = source.held(cursor);
      const read = held === undefined ? await readPage(source, cursor) : { events: held };
      if ("events" in read) {
        failures = 0;
        for (const event of read.events) {
          if (hint.isAborted()) return;
          cursor = event.seq;
          yield event;
        }
        if (read.events.length > 0) continue;
      } else if ("jumpTo" in read) {
        cursor = read.jumpTo;
        continue;
      }
      const end = source.end();
      if (end?.error !== undefined) throw end.error;
      if (end !== undefined) return;
      // What cannot be read now may come over the socket, or be there later.
      await ("events" in read ? hint.after(seen) : Promise.race([hint.aborted, source.pause(++failures)]));
    }
  } finally {
    hint.stop();
  }
}

type Read =
  | { readonly events: readonly SessionEvent[] }
  /** The log ends before the cursor: the reader is ahead of everything, and goes on from the end. */
  | { readonly jumpTo: number }
  | { readonly failed: true };

/** @throws DaybookError what another try will not change */
async function readPage(source: FollowSource, cursor: number): Promise<Read> {
  try {
    return { events: await source.page(cursor) };
  } catch (thrown) {
    const error = asDaybookError(thrown);
    const { last_seq: lastSeq } = error.details;
    if (error.code === "invalid_cursor" && typeof lastSeq === "number" && lastSeq < cursor)
      return { jumpTo: lastSeq };
    if (error.retryable) return { failed: true };
    throw error;
  }
}

/** Counts changes, so that none between a read and the wait after it is missed. */
class Hint {
  count = 0;
  /** Resolves when the signal says so. */
  readonly aborted: Promise<void>;
  private wake: () => void = () => undefined;
  private readonly unwatch: () => void;
  private abort: () => void = () => undefined;
  private readonly changed = (): void => {
    this.count++;
    this.wake();
  };

  constructor(
    source: FollowSource,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.unwatch = source.watch(this.changed);
    this.aborted = new Promise((resolve) => {
      this.abort = () => {
        this.changed();
        resolve();
      };
    });
    signal?.addEventListener("abort", this.abort);
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
    this.signal?.removeEventListener("abort", this.abort);
  }
}
