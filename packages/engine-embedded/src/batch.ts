import { crc32 } from "node:zlib";
import { encodeHeaderEntry, type Entry, type EventEntry } from "@daybook/core";
import type { FramePosition } from "@daybook/views";
import {
  BATCH_HEADER_BYTES,
  EVENT_SEPARATOR,
  FRAME_HEADER_BYTES,
  type FrameKind,
  writeBatchHeader,
  writeFrameHeader,
} from "./frame-format.js";
import { EventBlock } from "./event-block.js";
import type { DurableState, LiveLog, Waiter } from "./live-log.js";

/** A frame holds this much at most, unless one event alone is larger: reading one event reads its frame. */
const FRAME_BYTES_MAX = 64 * 1024;
const FRAME_EVENTS_MAX = 256;

const SCRATCH_BYTES = 256 * 1024;
const SCRATCH_KEPT_MAX = 8 * 1024 * 1024;

/**
 * The bytes of the batch that is being filled. There is one buffer for all of them: `seal` copies out what was
 * filled, so that a batch of one small event does not pin a large buffer.
 */
export class Scratch {
  bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

  reserve(count: number): void {
    if (count <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(count, this.bytes.length * 2));
    this.bytes.copy(grown);
    this.bytes = grown;
  }

  /** A rare huge batch must not keep its memory for ever. */
  shrink(): void {
    if (this.bytes.length > SCRATCH_KEPT_MAX) this.bytes = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  }
}

/** Everything that will be written and synced as one. */
export class Batch {
  /** The whole batch once sealed; until then only the scratch buffer has it. */
  sealed: Buffer | undefined;
  /** What becomes readable when this batch is durable. */
  readonly states = new Map<LiveLog, DurableState>();
  readonly blocks: { readonly log: LiveLog; readonly block: EventBlock }[] = [];
  readonly waiters: Waiter[] = [];
  /** Tenants whose lifecycle feed this batch makes longer. */
  readonly lifecycleTenants = new Set<string>();
  /** All of it survives a power loss. */
  durable = false;
  private frames = 0;
  private length = BATCH_HEADER_BYTES;

  constructor(
    readonly number: number,
    readonly segment: number,
    readonly offset: number,
    private readonly scratch: Scratch,
  ) {}

  get byteLength(): number {
    return this.length;
  }

  get isEmpty(): boolean {
    return this.frames === 0;
  }

  /** Adds a commit's entries to a log, folding them in: what is decided next builds on them. */
  add(log: LiveLog, entries: readonly Entry[], atMs: number): void {
    for (let index = 0; index < entries.length;) {
      const entry = entries[index] as Entry;
      if (entry.kind === "event") {
        index = this.addEvents(log, entries, index, atMs);
        continue;
      }
      const payload = encodeHeaderEntry(entry);
      const kind = entry.kind === "archive" && !entry.archived ? "unarchive" : entry.kind;
      const position = this.addFrame(log, { kind, seq: log.head?.lastSeq ?? 0, atMs }, [payload]);
      log.fold({ kind: "header", entry }, atMs, position);
      if (log.id !== undefined) this.lifecycleTenants.add(log.id.tenant);
      index++;
    }
    log.lastBatch = this;
    if (log.head !== undefined)
      this.states.set(log, { head: log.head, headerAt: log.headerAt, header: log.header });
  }

  /** Finishes the batch's bytes. Nothing can be added any more. */
  seal(): Buffer {
    const body = this.length - BATCH_HEADER_BYTES;
    writeBatchHeader(this.scratch.bytes, {
      segment: this.segment,
      batch: this.number,
      bodyBytes: body,
      frames: this.frames,
    });
    this.sealed = Buffer.allocUnsafeSlow(this.length);
    this.scratch.bytes.copy(this.sealed, 0, 0, this.length);
    this.scratch.shrink();
    return this.sealed;
  }

  /** Bytes of the batch, wherever they stand now. */
  slice(start: number, end: number): Buffer {
    return (this.sealed ?? this.scratch.bytes).subarray(start, end);
  }

  private addEvents(log: LiveLog, entries: readonly Entry[], first: number, atMs: number): number {
    const events: EventEntry[] = [];
    let characters = 0;
    let index = first;
    for (; index < entries.length; index++) {
      const entry = entries[index] as Entry;
      if (entry.kind !== "event" || !sameFlags(entries[first] as EventEntry, entry)) break;
      characters += entry.json.length;
      if (events.length > 0 && (characters > FRAME_BYTES_MAX || events.length === FRAME_EVENTS_MAX)) break;
      events.push(entry);
    }
    const { seq, producer } = events[0] as EventEntry;
    const start = this.length + FRAME_HEADER_BYTES;
    const header = {
      kind: "events",
      seq,
      atMs,
      count: events.length,
      hasState: events.some((event) => event.state.length > 0),
      unnumbered: producer === null,
    } as const;
    const position = this.addFrame(
      log,
      header,
      events.map((event) => event.json),
    );
    log.fold({ kind: "events", seq, events }, atMs, position);
    this.blocks.push({ log, block: new EventBlock(seq, events.length, this, start, this.length) });
    return index;
  }

  private addFrame(
    log: LiveLog,
    header: {
      kind: FrameKind;
      seq: number;
      atMs: number;
      count?: number;
      hasState?: boolean;
      unnumbered?: boolean;
    },
    texts: readonly string[],
  ): FramePosition {
    const start = this.length;
    const payloadAt = start + FRAME_HEADER_BYTES;
    const payloadEnd = writeTexts(this.scratch, payloadAt, texts);
    const payload = this.scratch.bytes.subarray(payloadAt, payloadEnd);
    const count = header.count ?? 0;
    writeFrameHeader(this.scratch.bytes, start, {
      kind: header.kind,
      seq: header.seq,
      atMs: header.atMs,
      count,
      hasState: header.hasState ?? false,
      unnumbered: header.unnumbered ?? false,
      log: log.number,
      payloadBytes: payload.length,
      payloadCrc: crc32(payload),
    });
    this.length = payloadEnd;
    this.frames++;
    return { segment: this.segment, offset: this.offset + start, bytes: payloadEnd - start, count };
  }
}

/** Writes texts one after the other, separated; returns where they end. */
function writeTexts(scratch: Scratch, at: number, texts: readonly string[]): number {
  let end = at;
  for (const [index, text] of texts.entries()) {
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    scratch.reserve(end + text.length * 3 + 1);
    if (index > 0) scratch.bytes[end++] = EVENT_SEPARATOR;
    end += scratch.bytes.write(text, end, "utf8");
  }
  return end;
}

/** Only events alike in these share a frame: its flags speak for all of them. */
function sameFlags(one: EventEntry, other: EventEntry): boolean {
  return (one.producer === null) === (other.producer === null);
}
