import { setTimeout as sleep } from "node:timers/promises";
import type { FramePosition } from "@daybook/views";
import type { Views } from "@daybook/views";
import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import type { Reader } from "./reader.js";
import { reclaimSegment } from "./reclaim-segment.js";
import type { Segments } from "./segments.js";
import type { EngineEvents } from "./settings.js";
import type { ViewWriter } from "./view-writer.js";

/** Zeroed between two syncs: the log's own syncs wait for the one under way … */
const FRAMES_AT_ONCE = 256;
const BYTES_AT_ONCE = 256 * 1024;
/** … and have the disk for themselves in between, unless everybody waits for the erasure itself. */
const PAUSE_MS = 3;

/** Nobody waits for an erasure: however far the views are behind, they come. */
const PATIENCE_MS = 2 ** 31 - 1;

/**
 * Erases what deleted logs left on disk. The erase entry is durable before the first byte is zeroed, so a crash
 * halfway is finished at the next start; the views remember what is not finished.
 */
export class Eraser {
  private readonly queue: LiveLog[] = [];
  private running: Promise<void> | undefined;
  private closed = false;
  private isAwaited = false;
  private failure: Error | undefined;

  constructor(
    private readonly parts: {
      readonly segments: Segments;
      readonly views: Views;
      readonly table: LogTable;
      readonly viewWriter: ViewWriter;
      readonly reader: Reader;
      readonly events: EngineEvents;
    },
  ) {}

  /** Goes on with what an earlier run did not finish. */
  resume(): void {
    // Forks before their parents, as they were deleted: until a fork is wiped, what is read of it may want its parent.
    for (const number of this.parts.views.erasing().reverse()) this.erase(this.parts.table.numbered(number));
  }

  erase(log: LiveLog): void {
    log.dropBlocks();
    setImmediate(() => {
      if (this.closed) return;
      for (const moved of log.watchers ?? []) moved();
    });
    this.queue.push(log);
    this.running ??= this.run().finally(() => {
      this.running = undefined;
    });
  }

  get pending(): number {
    return this.queue.length;
  }

  /** Resolves when nothing is left to erase, as soon as it can be. @throws what went wrong. */
  async finished(): Promise<void> {
    this.isAwaited = true;
    await this.running;
    this.isAwaited = false;
    if (this.failure !== undefined) throw this.failure;
  }

  /** Stops between two steps; the rest is done after the next start. */
  async close(): Promise<void> {
    this.closed = true;
    await this.running;
  }

  private async run(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      const log = this.queue[0];
      if (log === undefined || this.closed) return;
      try {
        if (!(await this.eraseLog(log))) return;
      } catch (error) {
        this.failure = error as Error;
        this.parts.events.fatal(this.failure);
        return;
      }
      this.queue.shift();
    }
  }

  private async eraseLog(log: LiveLog): Promise<boolean> {
    const { segments, views, table, viewWriter, reader } = this.parts;
    await viewWriter.caughtUp(PATIENCE_MS);
    let positions: FramePosition[] = [];
    let bytes = 0;
    const touched = new Set<number>();
    for (const position of reader.allPositions(log)) {
      positions.push(position);
      bytes += position.bytes;
      touched.add(position.segment);
      if (positions.length < FRAMES_AT_ONCE && bytes < BYTES_AT_ONCE) continue;
      await segments.zero(positions);
      if (!this.isAwaited) await sleep(PAUSE_MS);
      if (this.closed) return false;
      positions = [];
      bytes = 0;
    }
    await segments.zero(positions);
    if (this.closed) return false;
    for (const segment of touched) {
      await reclaimSegment(segments, views, { segment, erasing: log.number });
      if (this.isClosed()) return false;
    }
    await views.forget(log.number);
    table.forget(log);
    return true;
  }

  /** Asked anew after every wait. */
  private isClosed(): boolean {
    return this.closed;
  }
}
