import { DaybookError } from "@daybook/protocol";
import { type Flush, inSlices, type Stand, type Views } from "@daybook/views";
import type { EventBlock } from "./event-block.js";
import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import { foldAgain } from "./recover.js";
import type { Segments } from "./segments.js";
import type { EngineEvents, EngineSettings } from "./settings.js";

/** How long a read through the views waits for them. */
const CATCH_UP_MS = 5_000;
/** What a block costs in memory beside its bytes. */
const BLOCK_OVERHEAD_BYTES = 512;

interface Collected {
  readonly flush: Flush<LiveLog>;
  readonly stand: Stand;
  /** Bytes of log written up to this stand, since the start. */
  readonly bytes: number;
}

/**
 * Keeps the views behind the log, never ahead of it. Changes are collected when a batch is sealed — at that moment
 * memory stands exactly behind that batch — and written once the batch is durable, all in one transaction. The longer
 * they are collected, the less there is to write: a session's records are written once however often it changed.
 */
export class ViewWriter {
  /** Set by the log writer: nothing is being filled or written. */
  isQuiet: () => boolean = () => true;
  private collected: Collected | undefined;
  private writing: Promise<void> | undefined;
  private due = false;
  private timer: NodeJS.Timeout | undefined;
  /** Where the log will stand when what is sealed is durable … */
  private sealed: Stand;
  /** … and where it stands now. */
  private durable: Stand;
  private sealedBytes = 0;
  private collectedBytes = 0;
  private flushedBytes = 0;
  private waiting: { readonly batch: number; readonly settle: (error?: Error) => void }[] = [];
  private stopped = false;
  private sweeping: NodeJS.Immediate | undefined;
  private closing = false;
  private readonly recent: EventBlock[] = [];
  private recentFirst = 0;
  private recentBytes = 0;

  constructor(
    private readonly views: Views,
    private readonly table: LogTable,
    private readonly settings: EngineSettings,
    private readonly events: EngineEvents,
    stand: Stand,
  ) {
    this.sealed = stand;
    this.durable = stand;
    table.crowded = () => this.sweepSoon();
  }

  /** Bytes of log that the views do not stand past. */
  get lagBytes(): number {
    return this.sealedBytes - this.flushedBytes;
  }

  /** Are they too far behind for the log to go on? */
  get lags(): boolean {
    return this.lagBytes > this.settings.viewLagBytesMax;
  }

  /**
   * Resolves when the views are near enough for the log to go on. What is not being written yet can only be collected
   * when the next batch is sealed: then that one goes ahead, and the one after it waits.
   */
  async lagBounded(): Promise<void> {
    while (this.lags && this.writing !== undefined) await this.writing;
    if (this.lags) this.due = true;
  }

  batchSealed(stand: Stand, bytes: number): void {
    this.sealed = stand;
    this.sealedBytes += bytes;
    if (!this.stopped) this.timer ??= setTimeout(() => this.request(), this.settings.flushDelayMs);
    // At half of the bound: the rest is for what comes in while they are written.
    if (this.sealedBytes - this.collectedBytes > this.settings.viewLagBytesMax / 2) this.due = true;
    if (this.due) this.collect();
  }

  /** What was sealed last is durable. */
  batchDurable(): void {
    this.durable = this.sealed;
    if (this.due && this.isQuiet()) this.collect();
    this.writeCollected();
  }

  /** Resolves when the views have everything that is acknowledged now. @throws DaybookError storage_unavailable */
  async caughtUp(patienceMs = CATCH_UP_MS): Promise<void> {
    const batch = this.durable.nextBatch - 1;
    if (this.standsPast(batch)) return;
    if (this.stopped) throw behind();
    this.request();
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(behind()), patienceMs);
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
      this.waiting.push({ batch, settle });
    });
  }

  /** Keeps a durable block in memory: as long as the views lack it, and then as long as there is room. */
  keepRecent(block: EventBlock): void {
    block.log.addBlock(block);
    this.recent.push(block);
    this.recentBytes += costOf(block);
  }

  /** Folds these logs again from what is on disk, after a batch that changed them was lost. `stand` is where it ends. */
  async restore(segments: Segments, touched: Set<LiveLog>, stand: Stand): Promise<void> {
    await this.writing;
    this.sealed = stand;
    for (const log of this.collected?.flush.logs ?? []) touched.add(log);
    this.collected = undefined;
    for (const log of touched) {
      log.reset();
      log.lastBatch = undefined;
      this.table.restore(log);
      this.table.changing(log);
    }
    await foldAgain(segments, this.views, touched);
    for (const log of touched) {
      if (log.head === undefined) this.table.forget(log);
    }
  }

  /** Writes what there is, then stops. */
  async close(): Promise<void> {
    this.closing = true;
    while (!this.stopped && (this.table.hasChanges || this.writing !== undefined)) {
      if (this.writing === undefined) this.request();
      await this.writing;
    }
    this.stop();
    await this.writing;
  }

  /** Writes nothing any more: what memory holds may be ahead of the log, and must not get into the views. */
  stop(): void {
    this.stopped = true;
    this.collected = undefined;
    clearTimeout(this.timer);
    for (const { settle } of this.waiting.splice(0)) settle(behind());
  }

  /** Has the views written as soon as memory stands at the end of a batch. */
  request(): void {
    this.due = true;
    if (!this.isQuiet()) return;
    this.collect();
    this.writeCollected();
  }

  private standsPast(batch: number): boolean {
    return (this.views.stand?.nextBatch ?? 1) > batch;
  }

  private collect(): void {
    if (this.stopped || this.collected !== undefined || this.writing !== undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.due = false;
    this.collected = { flush: this.table.takeChanged(), stand: this.sealed, bytes: this.sealedBytes };
    this.collectedBytes = this.sealedBytes;
  }

  private writeCollected(): void {
    const { collected } = this;
    if (collected === undefined || collected.stand.nextBatch > this.durable.nextBatch) return;
    this.collected = undefined;
    this.writing = this.write(collected)
      .catch((error: unknown) => this.events.fatal(error as Error))
      .finally(() => {
        this.writing = undefined;
        if (this.due && this.isQuiet()) this.request();
      });
  }

  private async write({ flush, stand, bytes }: Collected): Promise<void> {
    const startedAt = performance.now();
    const isUrgent = (): boolean => this.waiting.length > 0 || this.lags || this.closing;
    const records = await this.views.write(flush, stand, isUrgent);
    await flush.release(isUrgent);
    this.flushedBytes = bytes;
    this.events.viewsWritten({ records, ms: performance.now() - startedAt });
    const reached = this.waiting.filter(({ batch }) => this.standsPast(batch));
    this.waiting = this.waiting.filter(({ batch }) => !this.standsPast(batch));
    for (const { settle } of reached) settle();
    if (this.waiting.length > 0) this.due = true;
    await inSlices(this.superfluous(), (block) => this.drop(block), isUrgent);
    this.table.sweep();
  }

  /** Logs come into memory by being read, too. While views are written it is not known which the views have. */
  private sweepSoon(): void {
    this.sweeping ??= setImmediate(() => {
      this.sweeping = undefined;
      if (this.writing === undefined && !this.stopped) this.table.sweep();
    });
  }

  /** The oldest blocks, as long as they must go and may go. */
  private *superfluous(): Generator<EventBlock> {
    while (this.recentBytes > this.settings.recentBytesMax) {
      const oldest = this.recent[this.recentFirst];
      if (oldest === undefined || !this.standsPast(oldest.batch.number)) return;
      yield oldest;
    }
  }

  private drop(oldest: EventBlock): void {
    oldest.log.dropBlock(oldest);
    oldest.letGo();
    this.recentBytes -= costOf(oldest);
    this.recentFirst++;
    // The dropped front is cut off once it is the larger part: each entry moves once on average.
    if (this.recentFirst > this.recent.length / 2) {
      this.recent.splice(0, this.recentFirst);
      this.recentFirst = 0;
    }
  }
}

function costOf(block: EventBlock): number {
  return block.byteLength + BLOCK_OVERHEAD_BYTES;
}

function behind(): DaybookError {
  return new DaybookError(
    "storage_unavailable",
    "The lists are behind the log right now. Try again in a moment.",
  );
}
