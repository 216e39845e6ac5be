import {
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  type BatchHeader,
  decodeBatchHeader,
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  judgePayload,
  segmentName,
} from "./frame-format.js";
import type { LogFile } from "./log-files.js";
import { unreadable } from "./refusals.js";

export interface ScannedFrame {
  readonly header: FrameHeader;
  /** Undefined when it was erased, or is damaged: only an erase entry further on makes that right. */
  readonly payload: Buffer | undefined;
  /** Where the frame begins in the file. */
  readonly offset: number;
}

export interface ScannedBatch {
  readonly header: BatchHeader;
  readonly offset: number;
  readonly end: number;
  readonly frames: readonly ScannedFrame[];
}

/**
 * Where a scan stopped. `end`: nothing was written behind a whole batch. `bad`: these bytes are no whole batch;
 * `batchAfter` says whether a batch was written behind them, which proves that they had been synced.
 */
export type ScanEnd =
  | { readonly kind: "end"; readonly offset: number }
  | { readonly kind: "bad"; readonly offset: number; readonly why: string; readonly batchAfter: boolean };

const CHUNK_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(256 * 1024);

/**
 * Reads a segment batch by batch from `offset`, verifying every byte. A batch and the bytes of its frames are good until
 * the next one is asked for: all of them are read into the same memory.
 */
export class SegmentScan {
  private memory = Buffer.alloc(0);
  /** The part of it that holds bytes of the file. */
  private buffer = this.memory;
  private bufferAt: number;

  constructor(
    private readonly file: LogFile,
    private readonly segment: number,
    private offset: number,
    private nextBatch: number,
    /** Only the last segment can end in a batch that was not synced; only a hollow one leaves batches out. */
    private readonly kind: { readonly isLast: boolean; readonly isHollow: boolean },
  ) {
    this.bufferAt = offset;
  }

  /** The next whole batch, or where and why there is none. */
  async next(): Promise<ScannedBatch | ScanEnd> {
    const { offset } = this;
    const header = (await this.load(BATCH_HEADER_BYTES))
      ? decodeBatchHeader(this.buffer, offset - this.bufferAt)
      : undefined;
    if (header === undefined) {
      if (await this.onlyZerosFollow()) return { kind: "end", offset };
      return this.bad("no batch header where one should begin");
    }
    const isNext = this.kind.isHollow ? header.batch >= this.nextBatch : header.batch === this.nextBatch;
    if (header.segment !== this.segment || !isNext) {
      return this.bad(`batch ${header.batch} of segment ${header.segment} where ${this.nextBatch} should be`);
    }
    if (!(await this.load(BATCH_HEADER_BYTES + header.bodyBytes))) return this.bad("an incomplete batch");
    const frames = this.framesOf(header);
    if (typeof frames === "string") return this.bad(frames);
    const torn = this.kind.isLast ? lostPayload(frames) : undefined;
    if (torn !== undefined && !(await this.batchFollows(header))) return this.bad(torn);
    this.offset += BATCH_HEADER_BYTES + header.bodyBytes;
    this.nextBatch = header.batch + 1;
    return { header, offset, end: this.offset, frames };
  }

  private framesOf(batch: BatchHeader): ScannedFrame[] | string {
    const frames: ScannedFrame[] = [];
    let at = this.offset - this.bufferAt + BATCH_HEADER_BYTES;
    const end = at + batch.bodyBytes;
    const bytes = this.buffer.subarray(0, end);
    for (let index = 0; index < batch.frames; index++) {
      const header = decodeFrameHeader(bytes, at);
      if (header === undefined) return `frame ${index} of batch ${batch.batch}: its header is damaged`;
      const payloadAt = at + FRAME_HEADER_BYTES;
      if (payloadAt + header.payloadBytes > end)
        return `frame ${index} of batch ${batch.batch}: longer than its batch`;
      const payload = this.buffer.subarray(payloadAt, payloadAt + header.payloadBytes);
      const isWhole = judgePayload(header, payload) === "whole";
      frames.push({ header, payload: isWhole ? payload : undefined, offset: this.bufferAt + at });
      at = payloadAt + header.payloadBytes;
    }
    return at === end ? frames : `batch ${batch.batch}: bytes behind its last frame`;
  }

  private async bad(why: string): Promise<ScanEnd> {
    return { kind: "bad", offset: this.offset, why, batchAfter: await this.findBatchAfter() };
  }

  /** Does the next batch begin right behind this one, or anywhere after it? */
  private async batchFollows({ batch, bodyBytes }: BatchHeader): Promise<boolean> {
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES);
    const count = await this.file.read(bytes, this.offset + BATCH_HEADER_BYTES + bodyBytes);
    const next = decodeBatchHeader(bytes.subarray(0, count), 0);
    return (next?.segment === this.segment && next.batch === batch + 1) || this.findBatchAfter(batch + 1);
  }

  /** Is there a whole batch header with a later number anywhere behind? */
  private async findBatchAfter(batch = this.nextBatch): Promise<boolean> {
    const size = await this.file.size();
    const window = Buffer.allocUnsafe(Math.min(size, CHUNK_BYTES) + BATCH_HEADER_BYTES);
    for (let at = this.offset + 1; at < size; at += CHUNK_BYTES) {
      const count = await this.file.read(window, at);
      const bytes = window.subarray(0, count);
      for (let hit = bytes.indexOf(BATCH_MAGIC); hit >= 0; hit = bytes.indexOf(BATCH_MAGIC, hit + 1)) {
        const header = decodeBatchHeader(bytes, hit);
        if (header?.segment === this.segment && header.batch >= batch) return true;
      }
    }
    return false;
  }

  /** Segments are made of zeros before they are written: what is still zero to the end was not written. */
  private async onlyZerosFollow(): Promise<boolean> {
    const window = Buffer.allocUnsafe(ZEROS.length);
    for (let at = this.offset; ; at += ZEROS.length) {
      const count = await this.file.read(window, at);
      if (count === 0) return true;
      if (!window.subarray(0, count).equals(ZEROS.subarray(0, count))) return false;
    }
  }

  private left(): number {
    return this.bufferAt + this.buffer.length - this.offset;
  }

  /** Makes `count` bytes from the current offset stand in the buffer; false when the file has fewer. */
  private async load(count: number): Promise<boolean> {
    if (this.left() >= count) return true;
    const left = (await this.file.size()) - this.offset;
    const wanted = Math.max(count, Math.min(left, CHUNK_BYTES));
    if (this.memory.length < wanted) this.memory = Buffer.allocUnsafeSlow(wanted);
    const read = await this.file
      .read(this.memory.subarray(0, wanted), this.offset)
      .catch((cause: unknown) => {
        throw unreadable(segmentName(this.segment), cause);
      });
    this.buffer = this.memory.subarray(0, read);
    this.bufferAt = this.offset;
    return read >= count;
  }
}

/** The first frame whose payload is lost, unless this very batch says that its log was erased. */
function lostPayload(frames: readonly ScannedFrame[]): string | undefined {
  const erased = new Set(
    frames.flatMap(({ header, payload }) => (header.kind === "erase" && payload ? header.log : [])),
  );
  const index = frames.findIndex(({ header, payload }) => payload === undefined && !erased.has(header.log));
  return index < 0 ? undefined : `frame ${index}: its payload is damaged`;
}
