import type { DaybookError } from "@daybook/protocol";
import { asReadFailure } from "./tail.js";

/** Something that is read a page at a time and gets longer. */
export interface PagedSource<Item, Place> {
  /** What stands after a place, in order; empty when there is nothing yet. */
  read(after: Place): Promise<readonly Item[]>;
  placeOf(item: Item): Place;
  /** Calls back when it got longer: a hint, which may come for nothing. */
  watch(moved: () => void): () => void;
}

export interface PagedSink<Item> {
  /** False when the reader is slow and no more should come before `resume` is called. */
  send(items: readonly Item[]): boolean;
  end(error: DaybookError): void;
}

/** Follows from a place on: read; nothing there: wait for a hint; read again. */
export class PagedTail<Item, Place> {
  private running = false;
  private again = false;
  private paused = false;
  private stopped = false;
  private unwatch: () => void = () => undefined;

  constructor(
    private readonly source: PagedSource<Item, Place>,
    private place: Place,
    private readonly sink: PagedSink<Item>,
  ) {}

  start(): void {
    this.unwatch = this.source.watch(() => this.wake());
    this.wake();
  }

  resume(): void {
    this.paused = false;
    this.wake();
  }

  stop(): void {
    this.stopped = true;
    this.unwatch();
  }

  private wake(): void {
    this.again = true;
    if (this.running || this.paused || this.stopped) return;
    this.running = true;
    this.read()
      .catch((error: unknown) => {
        if (this.stopped) return;
        this.stop();
        this.sink.end(asReadFailure(error));
      })
      .finally(() => {
        this.running = false;
        // A hint that came after the last read and before this line.
        if (this.again) this.wake();
      });
  }

  /** Asked anew after every wait. */
  private isStopped(): boolean {
    return this.stopped;
  }

  private async read(): Promise<void> {
    while (this.again && !this.paused && !this.stopped) {
      this.again = false;
      const items = await this.source.read(this.place);
      const last = items.at(-1);
      if (last === undefined || this.isStopped()) continue;
      this.place = this.source.placeOf(last);
      this.paused = !this.sink.send(items);
      this.again = true;
    }
  }
}
