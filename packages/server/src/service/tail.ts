import type { LogId } from "@daybook/core";
import type { Engine, Page, StoredEvent } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";

/** Where a tail's events go. */
export interface TailSink {
  /** Asked before these are sent, if it is there; false: not now, `resume` will be called. */
  ready?(): boolean;
  /** Sends these; false when the reader is slow and no more should come before `resume` is called. */
  send(events: readonly StoredEvent[]): boolean;
  /** Told when the reader has been given all there is, as often as somebody looks. */
  caughtUp?(): void;
  /** Nothing can follow: the session was deleted, or reading failed. */
  end(error: DaybookError): void;
}

export interface TailOptions {
  /** Others are passed over. */
  readonly wanted?: (event: StoredEvent) => boolean;
  readonly count?: (events: number, live: boolean) => void;
}

/** One page: large enough to be quick, small enough that a slow reader pins little and nobody waits long. */
const PAGE = { eventsMax: 1_000, bytesMax: 256 * 1024 };

/**
 * Replay and live in one loop: read after the cursor; nothing there: wait for a hint; read again. There is no queue: a
 * slow reader is one that reads later. Not an async function, since a thousand of these wake for one event.
 */
export class Tail {
  private pumping = false;
  private again = false;
  private paused = false;
  private ended = false;
  private unwatch: () => void = () => undefined;

  constructor(
    private readonly engine: Engine,
    private readonly id: LogId,
    /** The last seq the reader has, or was passed over. */
    public cursor: number,
    private readonly sink: TailSink,
    private readonly options: TailOptions = {},
  ) {}

  start(): void {
    this.unwatch = this.engine.watch(this.id, () => this.pump());
    this.pump();
  }

  /** The reader caught up with what it was sent. */
  resume(): void {
    this.paused = false;
    this.pump();
  }

  stop(): void {
    this.ended = true;
    this.unwatch();
  }

  private pump(): void {
    if (this.pumping) {
      this.again = true;
      return;
    }
    if (this.paused || this.ended || this.mustWait()) return;
    this.pumping = true;
    this.again = false;
    let page: Page | Promise<Page>;
    try {
      page = this.engine.read(this.id, this.cursor, PAGE);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (page instanceof Promise) {
      page.then(
        (read) => this.deliver(read),
        (error: unknown) => this.fail(error),
      );
    } else this.deliver(page);
  }

  private deliver({ events, lastSeq }: Page): void {
    this.pumping = false;
    if (this.ended) return;
    const last = events.at(-1);
    if (last === undefined) {
      // A hint may have come while this page was being read.
      if (this.again) this.pump();
      else this.sink.caughtUp?.();
      return;
    }
    // Others may have filled the connection while this was being read. It is read again later.
    if (this.mustWait()) return;
    this.cursor = last.seq;
    const wanted = this.options.wanted === undefined ? events : events.filter(this.options.wanted);
    if (wanted.length > 0) {
      this.options.count?.(wanted.length, last.seq === lastSeq);
      this.paused = !this.sink.send(wanted);
    }
    // The next page in a turn of its own: a long replay or scan yields to everybody else.
    if (last.seq < lastSeq || this.again) setImmediate(() => this.pump());
    else this.sink.caughtUp?.();
  }

  private mustWait(): boolean {
    this.paused = this.sink.ready?.() === false;
    return this.paused;
  }

  private fail(error: unknown): void {
    this.pumping = false;
    if (this.ended) return;
    this.stop();
    this.sink.end(asReadFailure(error));
  }
}

export function asReadFailure(error: unknown): DaybookError {
  if (error instanceof DaybookError) return error;
  return new DaybookError("internal_error", "Reading failed.", { cause: error });
}
