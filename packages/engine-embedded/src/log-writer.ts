import type { Entry } from "@daybook/core";
import { DaybookError } from "@daybook/protocol";
import type { Now } from "@daybook/engine";
import { Batch, Scratch } from "./batch.js";
import type { Eraser } from "./eraser.js";
import { SEGMENT_HEADER_BYTES } from "./frame-format.js";
import type { LifecycleReader } from "./lifecycle-reader.js";
import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import { StoreRefused } from "./refusals.js";
import type { EngineEvents, EngineSettings } from "./settings.js";
import type { Stand } from "@daybook/views";
import type { Segments } from "./segments.js";
import type { ViewWriter } from "./view-writer.js";

/** How often the free space is looked at, at most. */
const SPACE_CHECK_MS = 1_000;
/** Fewer commits than this wait for the end of the turn. */
const HALF_MIN = 8;

/** What a commit adds to one log. */
export interface LogEntries {
  readonly log: LiveLog;
  readonly entries: readonly Entry[];
}

/**
 * Group commit: one batch is written and synced while the next one fills, decided on the heads that the first will
 * make. What fails takes everything with it that was decided on top of it.
 */
export class LogWriter {
  private filling: Batch;
  private inFlight: Batch | undefined;
  private running: Promise<void> | undefined;
  private soon: NodeJS.Immediate | undefined;
  /** How many commits the last batch had. */
  private lastCommits = 0;
  private readonly scratch = new Scratch();
  private lastMs: number;
  private iso = { ms: -1, text: "" };
  private state: "open" | "restoring" | "failed" = "open";
  private closing = false;
  private spaceCheckedAt = Number.NEGATIVE_INFINITY;
  private spaceIsShort = false;
  private hasSpaceForSpare = false;

  constructor(
    private readonly segments: Segments,
    private readonly table: LogTable,
    private readonly views: ViewWriter,
    private readonly eraser: Eraser,
    private readonly options: {
      readonly stand: Stand;
      readonly lifecycle: LifecycleReader;
      readonly settings: EngineSettings;
      readonly events: EngineEvents;
    },
  ) {
    this.lastMs = options.stand.lastMs;
    this.filling = this.batchAtEnd(options.stand.nextBatch);
    views.isQuiet = () => this.filling.isEmpty && this.inFlight === undefined;
    void this.checkSpace();
  }

  /** Never earlier than before, also when the machine's clock is set back. */
  now(): Now {
    this.lastMs = Math.max(this.lastMs, this.options.settings.clock());
    if (this.iso.ms !== this.lastMs)
      this.iso = { ms: this.lastMs, text: new Date(this.lastMs).toISOString() };
    return { ms: this.lastMs, iso: this.iso.text };
  }

  /** Bytes decided and not yet durable. */
  get queuedBytes(): number {
    return this.filling.byteLength + (this.inFlight?.byteLength ?? 0);
  }

  /** @throws DaybookError when nothing can be taken now; nothing was stored then. */
  refuseIfUnable(): void {
    if (this.closing) {
      throw new DaybookError("shutting_down", "The server is shutting down. Try again in a moment.");
    }
    if (this.state !== "open") throw unavailable("The store is not writable. Try again in a moment.");
    if (this.queuedBytes > this.options.settings.queueBytesMax) {
      throw new DaybookError(
        "event_store_backpressure",
        "Too many appends are waiting for the disk. Try again in a moment.",
      );
    }
  }

  /** Adds entries to the batch that is filling, one log's after the other's; resolves with `answer` when it is durable. */
  commit<Answer>(changes: readonly LogEntries[], now: Now, answer: Answer): Promise<Answer> {
    if (this.spaceIsShort) {
      void this.checkSpace();
      return Promise.reject(
        unavailable("The disk is nearly full: appends are refused until there is room. Reads go on."),
      );
    }
    const batch = this.filling;
    for (const { log, entries } of changes) {
      this.table.changing(log);
      batch.add(log, entries, now.ms);
    }
    this.start();
    return batch.written.then(() => answer);
  }

  /** Answers — or refuses — once everything that was decided about these logs so far is durable. */
  async afterDurable<Answer>(logs: readonly (LiveLog | undefined)[], answer: () => Answer): Promise<Answer> {
    for (const log of logs) await log?.lastBatch?.written;
    return answer();
  }

  /** The JSON of an event that is not durable yet: a retry can overtake its first try. */
  undurableJson(log: LiveLog, seq: number): string | undefined {
    for (const batch of [this.filling, this.inFlight]) {
      for (const block of batch?.blocks ?? []) {
        if (block.log === log && seq >= block.firstSeq && seq <= block.lastSeq) return block.json(seq);
      }
    }
    return undefined;
  }

  /** Takes no more, and finishes what it has. */
  async close(): Promise<void> {
    this.closing = true;
    this.writeNext();
    while (this.running !== undefined) await this.running;
  }

  /** The store cannot go on: takes no more. */
  stop(): void {
    this.state = "failed";
  }

  /**
   * Has what is filling written after this turn, so that what arrived together goes into one batch. But when callers
   * wait in lock step, half of them is enough: these are synced while the others are decided.
   */
  private start(): void {
    if (this.inFlight !== undefined) return;
    if (this.filling.commits >= Math.max(HALF_MIN, this.lastCommits / 2)) this.writeNext();
    else this.soon ??= setImmediate(() => this.writeNext());
  }

  private writeNext(): void {
    clearImmediate(this.soon);
    this.soon = undefined;
    if (this.inFlight !== undefined || this.filling.isEmpty || this.running !== undefined) return;
    this.running = this.views.lags
      ? this.views.lagBounded().then(() => this.writeBatch())
      : this.writeBatch();
  }

  private async writeBatch(): Promise<void> {
    const batch = this.filling;
    const bytes = batch.seal();
    this.lastCommits = batch.commits;
    this.inFlight = batch;
    this.filling = this.batchAfter(batch);
    this.views.batchSealed(this.standAfter(batch), bytes.length);
    try {
      await this.write(batch, bytes);
    } catch (error) {
      await this.fail(batch, error as Error);
      this.running = undefined;
      return;
    }
    this.inFlight = undefined;
    this.running = undefined;
    this.becameDurable(batch);
    // The next write begins before this one's callers hear of it: they prepare what comes after while it is synced.
    this.writeNext();
    this.acknowledge(batch);
    void this.checkSpace();
  }

  private async write(batch: Batch, bytes: Buffer): Promise<void> {
    const startedAt = performance.now();
    if (batch.segment !== this.segments.last.segment) await this.segments.rotate(batch.number);
    await this.segments.append(bytes);
    this.prepareNextSegment();
    let events = 0;
    for (const block of batch.blocks) events += block.count;
    const syncMs = performance.now() - startedAt;
    this.options.events.batchDurable({ commits: batch.commits, events, bytes: bytes.length, syncMs });
  }

  /** From a quarter of this segment on, so that it is whole at three quarters. Where little is written, none is needed. */
  private prepareNextSegment(): void {
    const { segmentBytes } = this.options.settings;
    const upTo = 2 * (this.segments.endOffset - segmentBytes / 4);
    if (this.hasSpaceForSpare && upTo > 0) this.segments.prepareNext(segmentBytes, upTo);
  }

  private becameDurable(batch: Batch): void {
    for (const block of batch.blocks) this.views.keepRecent(block);
    batch.publish();
    for (const { log } of batch.headerChanges) {
      if (log.durableHead?.status === "deleted") this.eraser.erase(log);
    }
    this.views.batchDurable();
  }

  /** It is readable: now those who wait for it are told, then those who follow. */
  private acknowledge(batch: Batch): void {
    batch.succeed();
    const watched = batch.logs.filter((log) => log.isWatched);
    batch.letGo();
    if (watched.length === 0 && batch.lifecycleTenants.size === 0) return;
    // After the answers were written: a client that follows its own session must see the answer first.
    setImmediate(() => {
      if (this.closing) return;
      for (const log of watched) {
        for (const moved of log.watchers ?? []) moved();
      }
      for (const tenant of batch.lifecycleTenants) this.options.lifecycle.moved(tenant);
    });
  }

  private batchAfter({ number, segment, offset, byteLength }: Batch): Batch {
    return this.batchAt(number + 1, segment, offset + byteLength);
  }

  private batchAtEnd(number: number): Batch {
    return this.batchAt(number, this.segments.last.segment, this.segments.endOffset);
  }

  private batchAt(number: number, segment: number, offset: number): Batch {
    return offset < this.options.settings.segmentBytes
      ? new Batch(number, segment, offset, this.scratch)
      : new Batch(number, segment + 1, SEGMENT_HEADER_BYTES, this.scratch);
  }

  private standAfter(batch: Batch): Stand {
    return {
      segment: batch.segment,
      offset: batch.offset + batch.byteLength,
      batchOffset: batch.offset,
      nextBatch: batch.number + 1,
      nextLog: this.table.nextNumber,
      lastMs: this.lastMs,
    };
  }

  private async fail(batch: Batch, error: Error): Promise<void> {
    const lost = [batch, this.filling];
    this.state = "restoring";
    this.options.events.log("a batch could not be written", { error: error.message, batch: batch.number });
    for (const each of lost) {
      each.fail(unavailable("The store could not write this. Try again in a moment.", error));
    }
    try {
      if (error instanceof StoreRefused) throw error;
      await this.restore(batch, lost);
    } catch (fatal) {
      this.options.events.fatal(fatal as Error);
    }
    // Last of all: until here the views were not to be written.
    this.inFlight = undefined;
    this.filling = this.batchAtEnd(batch.number);
    if (this.isRestoring()) this.state = "open";
    this.views.request();
  }

  /** Not any more once something fatal was said. */
  private isRestoring(): boolean {
    return this.state === "restoring";
  }

  /** Whatever was decided on top of the lost batches never was: folds those logs again from what is on disk. */
  private async restore({ number }: Batch, lost: readonly Batch[]): Promise<void> {
    const touched = new Set(lost.flatMap(({ logs }) => logs));
    await this.views.restore(this.segments, touched, {
      segment: this.segments.last.segment,
      offset: this.segments.endOffset,
      batchOffset: this.segments.lastBatchOffset,
      nextBatch: number,
      nextLog: this.table.nextNumber,
      lastMs: this.lastMs,
    });
  }

  /** A disk that cannot say how much is free is not taken for a full one. */
  private async checkSpace(): Promise<void> {
    const at = performance.now();
    if (at - this.spaceCheckedAt < SPACE_CHECK_MS) return;
    this.spaceCheckedAt = at;
    const free = await this.segments.freeBytes().catch(() => Number.POSITIVE_INFINITY);
    const { reserveBytes, segmentBytes } = this.options.settings;
    this.spaceIsShort = free < reserveBytes;
    this.hasSpaceForSpare = free > reserveBytes + 2 * segmentBytes;
  }
}

function unavailable(message: string, cause?: Error): DaybookError {
  return new DaybookError("storage_unavailable", message, cause === undefined ? {} : { cause });
}
