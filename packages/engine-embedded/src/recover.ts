import type { Stand, Views } from "@daybook/views";
import { foldFrame, lifecycleKindOfFrame } from "./fold-frame.js";
import { BATCH_HEADER_BYTES, FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, segmentName } from "./frame-format.js";
import type { LiveLog } from "./live-log.js";
import { LostPayloads, WHY_LOST } from "./lost-payloads.js";
import type { LogTable } from "./log-table.js";
import { damaged, StoreRefused } from "./refusals.js";
import type { ScannedBatch } from "./scan-segment.js";
import type { Segments } from "./segments.js";

/**
 * Views are written whenever this much memory holds what they do not have yet. Not more often: each time, nearly every
 * session of a busy store is written again.
 */
const FLUSH_BYTES = 128 * 1024 * 1024;
/** Times as many idle logs as usual stay in memory meanwhile: most come again, and would be looked up each time. */
const MORE_IDLE_LOGS = 4;
/** What stays in memory of a frame until the views have it: its position, four numbers, and its share of a list of those. */
const FRAME_MEMORY_BYTES = 40;

export interface Recovered {
  readonly stand: Stand;
  readonly batches: number;
  /** Bytes of a batch that was never acknowledged, cut off. */
  readonly cutBytes: number;
}

/**
 * Reads the log from where the views stand to its end, folding it in. A bad end is cut only if nothing acknowledged
 * can be in it: in the last segment, with no batch behind it. Anything else refuses and changes nothing.
 */
export async function recover(segments: Segments, views: Views, table: LogTable): Promise<Recovered> {
  await refuseHollowStand(segments, views);
  const run = new Recovery(segments, views, table);
  await run.readAll();
  return run.finish();
}

/** The same, for looking only: the log is left as it is. */
export async function bringForward(segments: Segments, views: Views, table: LogTable): Promise<void> {
  await refuseHollowStand(segments, views);
  const run = new Recovery(segments, views, table);
  await run.readAll();
  await run.flush();
}

/** Views older than a segment's hollowing cannot go on in it: they are made anew. */
async function refuseHollowStand(segments: Segments, views: Views): Promise<void> {
  if (views.stand !== undefined && segments.header(views.stand.segment)?.hollow === true)
    await views.startOver();
}

/** What stood before this place was durable: it must still be there. */
async function refuseLostTail(segments: Segments, stand: Stand): Promise<void> {
  const { segment, offset, batchOffset, nextBatch } = stand;
  const header = segments.header(segment);
  if (header === undefined) throw lostTail(stand);
  if (header.hollow) return;
  if ((await segments.size(segment)) < offset) throw lostTail(stand);
  if (batchOffset === 0) return;
  const batch = await segments.batchHeaderAt(segment, batchOffset);
  if (batch === "zeros") throw lostTail(stand);
  if (batch?.batch !== nextBatch - 1 || batchOffset + BATCH_HEADER_BYTES + batch.bodyBytes !== offset)
    throw damaged(segmentName(segment), batchOffset, `batch ${nextBatch - 1} is not there`);
}

class Recovery {
  private batches = 0;
  private unflushedBytes = 0;
  private nextBatch: number;
  /** Where the next batch begins. */
  private segment: number;
  private offset: number;
  private batchOffset: number;
  /** Bytes that are no batch stand behind it. */
  private isTorn = false;
  private readonly fresh: boolean;
  private lastMs: number;
  private readonly lost = new LostPayloads();

  constructor(
    private readonly segments: Segments,
    private readonly views: Views,
    private readonly table: LogTable,
  ) {
    this.fresh = views.stand === undefined;
    this.segment = views.stand?.segment ?? 1;
    this.offset = views.stand?.offset ?? SEGMENT_HEADER_BYTES;
    this.batchOffset = views.stand?.batchOffset ?? 0;
    this.nextBatch = views.stand?.nextBatch ?? 1;
    this.lastMs = views.stand?.lastMs ?? 0;
    table.nextNumber = views.stand?.nextLog ?? 1;
  }

  async readAll(): Promise<void> {
    const { stand } = this.views;
    if (this.views.provenStand !== undefined) await refuseLostTail(this.segments, this.views.provenStand);
    for (let segment = stand?.segment ?? 1; segment <= this.segments.count; segment++) {
      await this.readSegment(segment, stand);
    }
    const { first } = this.lost;
    if (first !== undefined) throw damaged(segmentName(first.segment), first.offset, WHY_LOST);
  }

  async finish(): Promise<Recovered> {
    const cutBytes = this.isTorn ? await this.segments.cut(this.offset) : 0;
    await this.segments.settle(this.offset, this.batchOffset);
    await this.flush();
    this.table.sweep();
    await this.views.confirm();
    return { stand: this.stand(), batches: this.batches, cutBytes };
  }

  private async readSegment(segment: number, stand: Stand | undefined): Promise<void> {
    const header = this.segments.header(segment);
    const begins = stand?.segment === segment ? stand.nextBatch : header?.firstBatch;
    if (begins !== this.nextBatch)
      throw damaged(segmentName(segment), 0, `it begins with batch ${begins ?? 0}, not ${this.nextBatch}`);
    const scan = await this.segments.scan(segment, stand);
    if (segment !== this.segment) this.batchOffset = 0;
    for (;;) {
      const found = await scan.next();
      if (!("kind" in found)) {
        this.fold(found);
        if (this.unflushedBytes > FLUSH_BYTES && this.mayFlush()) await this.flush();
        continue;
      }
      this.segment = segment;
      this.offset = found.offset;
      // What was left out of a hollow segment still counts as batches.
      if (header?.hollow === true)
        this.nextBatch = this.segments.header(segment + 1)?.firstBatch ?? this.nextBatch;
      if (found.kind === "end") return;
      const last = segment === this.segments.count;
      if (!last || found.batchAfter) throw damaged(segmentName(segment), found.offset, found.why);
      this.isTorn = true;
      return;
    }
  }

  private fold(batch: ScannedBatch): void {
    this.batches++;
    this.nextBatch = batch.header.batch + 1;
    this.offset = batch.end;
    this.batchOffset = batch.offset;
    this.lost.see(batch);
    const { segment } = batch.header;
    for (const { header, payload, offset } of batch.frames) {
      const log = this.table.numbered(header.log);
      this.table.changing(log);
      const position = {
        segment,
        offset: header.movedFrom === 0 ? offset : header.movedFrom,
        bytes: FRAME_HEADER_BYTES + header.payloadBytes,
        count: header.count,
      };
      this.unflushedBytes += FRAME_MEMORY_BYTES;
      // Of a header and of state keys the text itself stays, of other events nothing does.
      if (header.kind !== "events" || header.hasState) this.unflushedBytes += header.payloadBytes;
      if (payload === undefined) {
        log.foldZeroed(position, header.seq, header.atMs, lifecycleKindOfFrame(header));
      } else {
        foldFrame(log, header, payload, position);
      }
      // Only these entries say what it is called.
      if (header.kind === "create" || header.kind === "erase") this.table.name(log);
      this.table.nextNumber = Math.max(this.table.nextNumber, header.log + 1);
      this.lastMs = Math.max(this.lastMs, header.atMs);
    }
    this.segment = segment;
  }

  /** Fresh views start over after a crash; others must not stand between an erased payload and its erase entry. */
  private mayFlush(): boolean {
    return this.fresh || this.lost.isEmpty;
  }

  private stand(): Stand {
    return {
      segment: this.segment,
      offset: this.offset,
      batchOffset: this.batchOffset,
      nextBatch: this.nextBatch,
      nextLog: this.table.nextNumber,
      lastMs: this.lastMs,
    };
  }

  async flush(): Promise<void> {
    const flush = this.table.takeChanged();
    for (const log of flush.logs) log.publish();
    await this.views.write(flush, this.stand());
    await flush.release();
    this.table.sweep(MORE_IDLE_LOGS);
    this.unflushedBytes = 0;
  }
}

/**
 * Folds the frames behind the views' stand again, of these logs only: after a batch failed, what was decided on top of
 * it has to go, and the disk has the truth.
 */
export async function foldAgain(segments: Segments, views: Views, logs: ReadonlySet<LiveLog>): Promise<void> {
  const byNumber = new Map([...logs].map((log) => [log.number, log]));
  const { stand } = views;
  for (let segment = stand?.segment ?? 1; segment <= segments.count; segment++) {
    const scan = await segments.scan(segment, stand);
    for (;;) {
      const batch = await scan.next();
      if ("kind" in batch) break;
      for (const { header, payload, offset } of batch.frames) {
        const position = {
          segment,
          offset,
          bytes: FRAME_HEADER_BYTES + header.payloadBytes,
          count: header.count,
        };
        const log = byNumber.get(header.log);
        if (log !== undefined && payload !== undefined) foldFrame(log, header, payload, position);
      }
    }
  }
}

function lostTail(stand: Stand): StoreRefused {
  return new StoreRefused(
    "lost_tail",
    `The views stand at byte ${stand.offset} of ${segmentName(stand.segment)}, past the end of the log: the log has ` +
      "lost entries that were acknowledged. Restore the missing files or a backup; `daybook repair --accept-loss` goes on without them.",
  );
}
