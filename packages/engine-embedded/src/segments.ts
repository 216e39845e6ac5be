import { randomBytes } from "node:crypto";
import type { FramePosition, Stand } from "@daybook/views";
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  decodeBatchHeader,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  segmentOfName,
} from "./frame-format.js";
import { FrameReads, type ReadFrame } from "./frame-reads.js";
import { type LogFile, type LogFiles, writeAll } from "./log-files.js";
import { damaged, StoreRefused } from "./refusals.js";
import { SegmentScan } from "./scan-segment.js";
import {
  checkSealed,
  createSegment,
  HOLLOW_SUFFIX,
  isUnbegun,
  openSegment,
  readSegmentHeader,
  removeSynced,
  removeUnfinished,
  synced,
  syncFailed,
} from "./segment-files.js";
import { SpareSegment } from "./spare-segment.js";

/** Sealed segments kept open for reading. */
const OPEN_FILES_MAX = 64;
/** Longer than any read takes. */
const RETIRE_MS = 10_000;

/** Small writes under way at once: enough that their way through the thread pool costs little, and the log's stay quick. */
const ZEROED_AT_ONCE = 16;

/** The log's files: one after the other, only the last one growing. */
export class Segments {
  private readonly handles = new Map<number, Promise<LogFile>>();
  /** No longer handed out, and closed soon. */
  private readonly retired = new Map<Promise<LogFile>, NodeJS.Timeout>();
  private readonly spare: SpareSegment;
  private readonly reads = new FrameReads((segment) => this.handle(segment));
  /** Where the last batch of the last segment begins; 0 while there is none. */
  private lastBatch = 0;

  private constructor(
    private readonly files: LogFiles,
    readonly storeId: string,
    private readonly headers: SegmentHeader[],
    private tail: LogFile,
    /** Where the next batch goes. Set by recovery once it knows where the log ends. */
    private end: number,
  ) {
    this.spare = new SpareSegment(files);
  }

  /**
   * Opens the folder's segments, or begins a new log if that is allowed.
   * @throws StoreRefused when a segment is missing, unreadable, of another store or of another format.
   */
  static async open(files: LogFiles, mode: "begin" | "write" | "read"): Promise<Segments> {
    const numbers = (await files.list())
      .flatMap((name) => segmentOfName(name) ?? [])
      .sort((one, other) => one - other);
    if (mode !== "read") {
      await removeUnfinished(files);
      await SpareSegment.removeLeftOver(files);
    }
    const headers: SegmentHeader[] = [];
    for (const [index, number] of numbers.entries()) {
      if (number !== index + 1) throw damaged(segmentName(index + 1), 0, "the file is missing");
      const header = await readSegmentHeader(files, number);
      if (header === undefined && index === numbers.length - 1 && (await isUnbegun(files, number))) {
        // The crash came between creating this file and syncing its header: nothing in it was ever acknowledged.
        if (mode === "begin" || (mode === "write" && index > 0))
          await removeSynced(files, segmentName(number));
        break;
      }
      if (header === undefined) throw damaged(segmentName(number), 0, "its header is damaged");
      headers.push(header);
      await checkSealed(files, headers);
    }
    const last = headers.at(-1);
    if (last === undefined) {
      if (mode === "begin") return Segments.begin(files);
      throw new StoreRefused("not_a_store", "There is no log in this folder.");
    }
    const tail = await openSegment(files, last.segment, mode === "read" ? "read" : "write");
    return new Segments(files, last.storeId, headers, tail, SEGMENT_HEADER_BYTES);
  }

  private static async begin(files: LogFiles): Promise<Segments> {
    const storeId = randomBytes(16).toString("hex");
    const header: SegmentHeader = { segment: 1, firstBatch: 1, previousLength: 0, storeId, hollow: false };
    const tail = await createSegment(files, header);
    return new Segments(files, storeId, [header], tail, SEGMENT_HEADER_BYTES);
  }

  get last(): SegmentHeader {
    return this.headers.at(-1) as SegmentHeader;
  }

  get endOffset(): number {
    return this.end;
  }

  get lastBatchOffset(): number {
    return this.lastBatch;
  }

  get count(): number {
    return this.headers.length;
  }

  header(segment: number): SegmentHeader | undefined {
    return this.headers[segment - 1];
  }

  /** A scan of one segment, from the stand or from its beginning. */
  async scan(segment: number, from?: Stand): Promise<SegmentScan> {
    const header = this.headers[segment - 1] as SegmentHeader;
    const file = await this.handle(segment);
    const kind = { isLast: segment === this.last.segment, isHollow: header.hollow };
    return from?.segment === segment
      ? new SegmentScan(file, segment, from.offset, from.nextBatch, kind)
      : new SegmentScan(file, segment, SEGMENT_HEADER_BYTES, header.firstBatch, kind);
  }

  /**
   * Settles where the log ends, behind the batch that begins at `lastBatch`, and syncs it. The sync matters even when
   * nothing was cut: a whole batch may have been written and never synced, and readers are about to see it.
   */
  async settle(end: number, lastBatch: number): Promise<void> {
    await this.tail.sync();
    await this.files.syncFolder();
    this.end = end;
    this.lastBatch = lastBatch;
  }

  /** Cuts off what stands behind `end`; says how many bytes that was. */
  async cut(end: number): Promise<number> {
    const bytes = (await this.tail.size()) - end;
    await this.tail.truncate(end);
    return bytes;
  }

  /** The header of a batch that is known to begin there; undefined when none does, `zeros` when nothing was ever written. */
  async batchHeaderAt(segment: number, offset: number): Promise<BatchHeader | "zeros" | undefined> {
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES);
    await (await this.handle(segment)).read(bytes, offset);
    return decodeBatchHeader(bytes, 0) ?? (bytes.every((byte) => byte === 0) ? "zeros" : undefined);
  }

  async size(segment: number): Promise<number> {
    return (await this.handle(segment)).size();
  }

  /** Writes one batch at the end and syncs it. @throws when it could not be written; the log is as before. */
  async append(bytes: Buffer): Promise<void> {
    try {
      await writeAll(this.tail, bytes, this.end);
    } catch (error) {
      // Nothing of it may be found behind later batches.
      await this.tail.truncate(this.end).catch((cause: unknown) => {
        throw new StoreRefused("sync_failed", "a batch that failed could not be cut off again", { cause });
      });
      throw error;
    }
    await synced(this.tail);
    this.lastBatch = this.end;
    this.end += bytes.length;
  }

  /** Has the file of the next segment made ahead, of this length, by now as far as `upTo`. */
  prepareNext(bytes: number, upTo: number): void {
    this.spare.prepare(bytes, upTo);
  }

  /** Seals the last segment and begins the next; in the new one nothing is acknowledged before both are synced. */
  async rotate(firstBatch: number): Promise<void> {
    const { storeId, last } = this;
    const header: SegmentHeader = {
      segment: last.segment + 1,
      firstBatch,
      previousLength: this.end,
      storeId,
      hollow: false,
    };
    const tail = await createSegment(this.files, header, this.spare);
    this.handles.set(last.segment, Promise.resolve(this.tail));
    this.tail = tail;
    this.headers.push(header);
    this.end = SEGMENT_HEADER_BYTES;
    this.lastBatch = 0;
  }

  /**
   * Reads frames, near ones together, every one verified.
   * @throws PositionMismatch when a position does not hold what it should: the views are wrong, or the log is damaged.
   */
  readFrames(positions: readonly FramePosition[]): Promise<ReadFrame[]> {
    return this.reads.read(positions);
  }

  /** Overwrites the payloads of these frames with zeros, and syncs. */
  async zero(positions: readonly FramePosition[]): Promise<void> {
    const touched = new Set<LogFile>();
    const left = positions.values();
    const zeroer = async (): Promise<void> => {
      for (const { segment, offset, bytes } of left) {
        if (this.header(segment)?.hollow === true) continue;
        const file = await this.handle(segment);
        touched.add(file);
        await writeAll(file, Buffer.alloc(bytes - FRAME_HEADER_BYTES), offset + FRAME_HEADER_BYTES);
      }
    };
    // All of them end before a failure is told: nothing is written behind the caller's back.
    const ends = await Promise.allSettled(Array.from({ length: ZEROED_AT_ONCE }, zeroer));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    for (const file of touched) await synced(file);
  }

  /** Puts a hollow file in the place of a sealed segment. Either the old or the new one is there after a crash. */
  async replaceByHollow(segment: number, batches: readonly Buffer[]): Promise<void> {
    const header = { ...(this.headers[segment - 1] as SegmentHeader), hollow: true };
    const name = segmentName(segment);
    const temporary = `${name}${HOLLOW_SUFFIX}`;
    const file = await this.files.open(temporary, "create");
    await writeAll(file, Buffer.concat([encodeSegmentHeader(header), ...batches]), 0);
    await synced(file);
    await file.close();
    await this.files.rename(temporary, name);
    await this.files.syncFolder().catch(syncFailed);
    this.headers[segment - 1] = header;
    const old = this.handles.get(segment);
    this.handles.delete(segment);
    if (old !== undefined) this.retire(old);
  }

  freeBytes(): Promise<number> {
    return this.files.freeBytes();
  }

  async close(): Promise<void> {
    for (const timer of this.retired.values()) clearTimeout(timer);
    for (const handle of [...this.handles.values(), ...this.retired.keys()]) await (await handle).close();
    this.handles.clear();
    this.retired.clear();
    await this.spare.close();
    await this.tail.close();
  }

  private async handle(segment: number): Promise<LogFile> {
    if (segment === this.last.segment) return this.tail;
    const known = this.handles.get(segment);
    if (known !== undefined) return known;
    // Sealed segments are written only to be erased in; that is rare, so one kind of handle serves both.
    const opened = openSegment(this.files, segment, "write");
    this.handles.set(segment, opened);
    // What cannot be opened now may be later.
    opened.catch(() => this.handles.delete(segment));
    if (this.handles.size > OPEN_FILES_MAX) this.retireOldest();
    return opened;
  }

  private retireOldest(): void {
    const [oldest] = this.handles;
    if (oldest === undefined) return;
    this.handles.delete(oldest[0]);
    this.retire(oldest[1]);
  }

  /** A read may be under way on it: the descriptor goes a while later. */
  private retire(handle: Promise<LogFile>): void {
    const timer = setTimeout(() => {
      this.retired.delete(handle);
      void handle.then((file) => file.close());
    }, RETIRE_MS);
    this.retired.set(handle, timer.unref());
  }
}
