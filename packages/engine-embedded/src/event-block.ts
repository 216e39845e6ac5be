import { StoredEvent } from "@daybook/engine";
import { splitEvents } from "./frame-format.js";
import type { LiveLog } from "./live-log.js";

/** Where an event block's bytes are until they are first needed. */
export interface BlockBytes {
  readonly number: number;
  readonly splitLast: SplitLast;
  slice(start: number, end: number): Buffer;
  blockLeft(): void;
}

/** Blocks whose events are kept as objects. More than followers at the live end are behind each other. */
const SPLIT_MAX = 256;

/**
 * An engine's blocks that were split last, one after the other in a ring. It keeps many recent blocks, and their events'
 * objects and frames would be most of what a garbage collector has to walk through.
 */
export class SplitLast {
  private readonly ring = new Array<EventBlock | undefined>(SPLIT_MAX);
  private next = 0;

  /** Adds a block; the one in its place, which was split long ago, is joined again. */
  add(block: EventBlock): void {
    this.ring[this.next]?.join();
    this.ring[this.next] = block;
    this.next = (this.next + 1) % SPLIT_MAX;
  }
}

/** The events of one frame, in memory as a part of their batch. Readers at the live end get the same objects. */
export class EventBlock {
  private split: readonly StoredEvent[] | undefined;

  constructor(
    readonly log: LiveLog,
    readonly batch: BlockBytes,
    readonly firstSeq: number,
    readonly count: number,
    private readonly start: number,
    private readonly end: number,
  ) {}

  get byteLength(): number {
    return this.end - this.start;
  }

  get lastSeq(): number {
    return this.firstSeq + this.count - 1;
  }

  /** Only of durable blocks: the bytes of a batch move while it is being filled. */
  get events(): readonly StoredEvent[] {
    if (this.split !== undefined) return this.split;
    // A copy: readers may hold events for long after their batch's memory was used again.
    const own = Buffer.from(this.batch.slice(this.start, this.end));
    const pieces = splitEvents(own, this.count);
    this.split = pieces.map((bytes, index) => new StoredEvent(this.firstSeq + index, bytes));
    this.batch.splitLast.add(this);
    return this.split;
  }

  /** Its events are bytes again. What readers have of it stays theirs. */
  join(): void {
    this.split = undefined;
  }

  /** It left memory: nobody reads it any more. */
  letGo(): void {
    this.join();
    this.batch.blockLeft();
  }

  /** One event's JSON, also of a block that is not durable yet. */
  json(seq: number): string {
    const pieces = splitEvents(this.batch.slice(this.start, this.end), this.count);
    return (pieces[seq - this.firstSeq] as Buffer).toString("utf8");
  }
}
