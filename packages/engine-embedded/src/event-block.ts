import { StoredEvent } from "@daybook/engine";
import { splitEvents } from "./frame-format.js";
import type { LiveLog } from "./live-log.js";

/** Where an event block's bytes are until they are first needed. */
export interface BlockBytes {
  readonly number: number;
  slice(start: number, end: number): Buffer;
  blockLeft(): void;
}

/** Blocks whose events are kept as objects. More than followers at the live end are behind each other. */
const SPLIT_MAX = 256;

/**
 * The blocks that were split last, one after the other in a ring. A process keeps many recent blocks, and their events'
 * objects and frames would be most of what a garbage collector has to walk through.
 */
const splitLast = new Array<EventBlock | undefined>(SPLIT_MAX);
let splitNext = 0;

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
    const longAgo = splitLast[splitNext];
    if (longAgo !== undefined) longAgo.split = undefined;
    splitLast[splitNext] = this;
    splitNext = (splitNext + 1) % SPLIT_MAX;
    return this.split;
  }

  /** It left memory: nobody reads it any more. What readers have of it stays theirs. */
  letGo(): void {
    this.split = undefined;
    this.batch.blockLeft();
  }

  /** One event's JSON, also of a block that is not durable yet. */
  json(seq: number): string {
    const pieces = splitEvents(this.batch.slice(this.start, this.end), this.count);
    return (pieces[seq - this.firstSeq] as Buffer).toString("utf8");
  }
}
