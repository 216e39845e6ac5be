import { crc32 } from "node:zlib";
import {
  encodeHeaderEntry,
  type Entry,
  type EventEntry,
  type Head,
  type HeaderEntry,
  type SessionHeader,
} from "@daybook/core";
import type { FramePosition } from "@daybook/views";
import {
  BATCH_HEADER_BYTES,
  EVENT_SEPARATOR,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  writeBatchHeader,
  writeFrameHeader,
} from "./frame-format.js";
import { EventBlock, SplitLast } from "./event-block.js";
import type { LiveLog } from "./live-log.js";

/** A frame holds this much at most, unless one event alone is larger: reading one event reads its frame. */
const FRAME_BYTES_MAX = 64 * 1024;
const FRAME_EVENTS_MAX = 256;

/** So much memory is asked for at once. */
const SLAB_BYTES = 256 * 1024;
/** Kept for the next batches although nothing needs them: a burst's worth. */
const FREE_SLABS_MAX = 64;

/** Memory for some batches in a row. */
class Slab {
  /** Those that are not let go of. */
  batches = 0;

  constructor(readonly bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)) {}
}

/**
 * Where batches are filled: one behind the other in a slab, until it is full and the next one begins. A slab whose
 * batches are all let go of is used again: V8 looks through the whole heap each time 64 MiB of buffers were made.
 */
export class Scratch {
  private slab = new Slab();
  private readonly free: Slab[] = [];
  /** Where the batch that is being filled begins. */
  start = 0;
  /** Of the blocks of all batches. */
  readonly splitLast = new SplitLast();

  get bytes(): Buffer {
    return this.slab.bytes;
  }

  /** Makes room for `count` bytes of the batch, `used` of which are written. */
  reserve(count: number, used: number): void {
    if (this.start + count <= this.bytes.length) return;
    const isUsual = count <= SLAB_BYTES / 2;
    const { slab, start } = this;
    this.leaveFor(isUsual ? (this.free.pop() ?? new Slab()) : new Slab(Buffer.allocUnsafeSlow(count * 2)));
    slab.bytes.copy(this.bytes, 0, start, start + used);
  }

  /** Hands over the batch; the next one begins behind it. */
  take(length: number): SealedBytes {
    const { slab } = this;
    const bytes = slab.bytes.subarray(this.start, this.start + length);
    slab.batches++;
    this.start += length;
    // A huge slab, which is rare, is for this batch alone: any small one behind it would keep all of it in memory.
    if (slab.bytes.length > SLAB_BYTES) this.leaveFor(this.free.pop() ?? new Slab());
    return { bytes, letGo: () => this.letGoOf(slab) };
  }

  private letGoOf(slab: Slab): void {
    slab.batches--;
    if (slab !== this.slab) this.keep(slab);
  }

  private leaveFor(next: Slab): void {
    const { slab } = this;
    this.slab = next;
    this.start = 0;
    this.keep(slab);
  }

  /** For later, if nobody reads it any more. */
  private keep(slab: Slab): void {
    const isFree = slab.batches === 0 && slab.bytes.length === SLAB_BYTES;
    if (isFree && this.free.length < FREE_SLABS_MAX) this.free.push(slab);
  }
}

/** A batch's bytes, until they are let go of: then others may be written there. */
interface SealedBytes {
  readonly bytes: Buffer;
  letGo(): void;
}

/** What becomes readable of a log's header when a batch is durable. */
interface HeaderChange {
  readonly log: LiveLog;
  readonly headerAt: FramePosition | undefined;
  readonly header: SessionHeader | undefined;
}

/** Everything that will be written and synced as one. */
export class Batch {
  /** The whole batch once sealed; until then its place in the scratch memory can change. */
  private sealed: SealedBytes | undefined;
  /** The logs that change in it, each once. */
  readonly logs: LiveLog[] = [];
  readonly headerChanges: HeaderChange[] = [];
  readonly blocks: EventBlock[] = [];
  /** Tenants whose lifecycle feed this batch makes longer. */
  readonly lifecycleTenants = new Set<string>();
  commits = 0;
  /** Settles when all of it survives a power loss, or never will. */
  readonly written: Promise<void>;
  succeed!: () => void;
  fail!: (error: Error) => void;
  private heads: (Head | undefined)[] = [];
  /** Its blocks that readers may ask for. */
  private blocksLeft = 0;
  private isLetGo = false;
  private frames = 0;
  private length = BATCH_HEADER_BYTES;

  constructor(
    readonly number: number,
    readonly segment: number,
    readonly offset: number,
    private readonly scratch: Scratch,
  ) {
    this.written = new Promise((resolve, reject) => {
      this.succeed = resolve;
      this.fail = reject;
    });
    // Those who wait hear of it; when nobody does, it is no unhandled rejection.
    this.written.catch(() => undefined);
  }

  get byteLength(): number {
    return this.length;
  }

  get splitLast(): SplitLast {
    return this.scratch.splitLast;
  }

  get isEmpty(): boolean {
    return this.frames === 0;
  }

  /** Adds a commit's entries to a log, folding them in: what is decided next builds on them. */
  add(log: LiveLog, entries: readonly Entry[], atMs: number): void {
    if (log.lastBatch !== this) {
      log.lastBatch = this;
      this.logs.push(log);
    }
    this.commits++;
    for (let index = 0; index < entries.length;) {
      const entry = entries[index] as Entry;
      if (entry.kind === "event") {
        index = this.addEvents(log, entries, index, atMs);
        continue;
      }
      this.addHeader(log, entry, atMs);
      index++;
    }
  }

  /** Finishes the batch's bytes. Nothing can be added any more, and what its logs are now is what it makes readable. */
  seal(): Buffer {
    this.sealed = this.scratch.take(this.length);
    writeBatchHeader(this.sealed.bytes, {
      segment: this.segment,
      batch: this.number,
      bodyBytes: this.length - BATCH_HEADER_BYTES,
      frames: this.frames,
    });
    this.heads = this.logs.map((log) => log.head);
    return this.sealed.bytes;
  }

  /** Lets readers see it. */
  publish(): void {
    this.blocksLeft = this.blocks.length;
    for (const [index, log] of this.logs.entries()) {
      log.durableHead = this.heads[index];
      // A log must not keep its last batch, bytes and all, in memory.
      if (log.lastBatch === this) log.lastBatch = undefined;
    }
    for (const { log, headerAt, header } of this.headerChanges) {
      log.durableHeaderAt = headerAt;
      log.durableHeader = header;
    }
  }

  /** Its blocks stay in memory for long, and with them its bytes. Of the rest nothing is needed once it is readable. */
  letGo(): void {
    if (this.blocksLeft === 0) this.letGoOfBytes();
    this.logs.length = 0;
    this.blocks.length = 0;
    this.heads.length = 0;
    this.headerChanges.length = 0;
  }

  /** One of its blocks left memory: nobody may read it any more. */
  blockLeft(): void {
    if (--this.blocksLeft === 0) this.letGoOfBytes();
  }

  private letGoOfBytes(): void {
    this.sealed?.letGo();
    // Whoever still has one of its blocks does not keep a slab with it.
    this.sealed = undefined;
    this.isLetGo = true;
  }

  /** Bytes of the batch, wherever they stand now. */
  slice(start: number, end: number): Buffer {
    if (this.isLetGo) throw new Error("broken invariant: a batch is read that was let go of");
    if (this.sealed !== undefined) return this.sealed.bytes.subarray(start, end);
    const { bytes, start: begins } = this.scratch;
    return bytes.subarray(begins + start, begins + end);
  }

  private addHeader(log: LiveLog, entry: HeaderEntry, atMs: number): void {
    const lastSeq = entry.kind === "create" ? entry.forkedFrom?.seq : log.head?.lastSeq;
    const header = {
      kind: entry.kind === "archive" && !entry.archived ? "unarchive" : entry.kind,
      seq: lastSeq ?? 0,
      atMs,
      count: 0,
      hasState: false,
      unnumbered: false,
    } as const;
    const payloadAt = this.length + FRAME_HEADER_BYTES;
    const position = this.addFrame(log, header, this.writeText(encodeHeaderEntry(entry), payloadAt));
    log.foldHeader(entry, atMs, position);
    if (log.id !== undefined) this.lifecycleTenants.add(log.id.tenant);
    this.headerChanges.push({ log, headerAt: log.headerAt, header: log.header });
  }

  /** Adds as many events from `first` on as go into one frame; returns where to go on. */
  private addEvents(log: LiveLog, entries: readonly Entry[], first: number, atMs: number): number {
    const { seq, producer } = entries[first] as EventEntry;
    const unnumbered = producer === null;
    const start = this.length + FRAME_HEADER_BYTES;
    let end = start;
    let hasState = false;
    let index = first;
    for (; index < entries.length && index - first < FRAME_EVENTS_MAX; index++) {
      const entry = entries[index] as Entry;
      // Only events alike in this share a frame: its flags speak for all of them.
      if (entry.kind !== "event" || (entry.producer === null) !== unnumbered) break;
      if (index > first) {
        if (end - start + entry.json.length > FRAME_BYTES_MAX) break;
        this.scratch.bytes[this.scratch.start + end++] = EVENT_SEPARATOR;
      }
      end = this.writeText(entry.json, end);
      hasState ||= entry.state.length > 0;
    }
    const count = index - first;
    const position = this.addFrame(log, { kind: "events", seq, atMs, count, hasState, unnumbered }, end);
    const all = count === entries.length;
    log.foldEvents(
      (all ? entries : entries.slice(first, index)) as readonly EventEntry[],
      seq,
      atMs,
      position,
    );
    this.blocks.push(new EventBlock(log, this, seq, count, start, end));
    return index;
  }

  /** Writes a text into the scratch buffer; returns where it ends, with room for a separator behind it. */
  private writeText(text: string, at: number): number {
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    this.scratch.reserve(at + text.length * 3 + 1, at);
    return at + this.scratch.bytes.write(text, this.scratch.start + at, "utf8");
  }

  /** Puts the header before a payload that is written already, and says where the frame will stand. */
  private addFrame(
    log: LiveLog,
    header: Omit<FrameHeader, "log" | "payloadBytes" | "payloadCrc" | "movedFrom">,
    payloadEnd: number,
  ): FramePosition {
    const start = this.length;
    const payload = this.slice(start + FRAME_HEADER_BYTES, payloadEnd);
    writeFrameHeader(this.scratch.bytes, this.scratch.start + start, {
      kind: header.kind,
      hasState: header.hasState,
      unnumbered: header.unnumbered,
      count: header.count,
      log: log.number,
      seq: header.seq,
      atMs: header.atMs,
      payloadBytes: payload.length,
      payloadCrc: crc32(payload),
      movedFrom: 0,
    });
    this.length = payloadEnd;
    this.frames++;
    return {
      segment: this.segment,
      offset: this.offset + start,
      bytes: payloadEnd - start,
      count: header.count,
    };
  }
}
