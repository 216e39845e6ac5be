import { StoredEvent } from "@daybook/engine";
import { splitEvents } from "./frame-format.js";
import type { LiveLog } from "./live-log.js";

/** Where an event block's bytes are until they are first needed. */
export interface BlockBytes {
  slice(start: number, end: number): Buffer;
}

/** The events of one frame, in memory. Split once, on the first read; every reader gets the same objects. */
export class EventBlock {
  private split: readonly StoredEvent[] | undefined;

  constructor(
    readonly firstSeq: number,
    readonly count: number,
    private readonly bytes: BlockBytes,
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
    this.split ??= splitEvents(this.bytes.slice(this.start, this.end), this.count).map(
      (bytes, index) => new StoredEvent(this.firstSeq + index, bytes),
    );
    return this.split;
  }

  /** One event's JSON, also of a block that is not durable yet. */
  json(seq: number): string {
    const events = splitEvents(this.bytes.slice(this.start, this.end), this.count);
    return (events[seq - this.firstSeq] as Buffer).toString("utf8");
  }
}

/** A block whose bytes are part of a batch. */
export class BatchBlock extends EventBlock {
  constructor(
    readonly log: LiveLog,
    readonly batch: BlockBytes & { readonly number: number },
    frame: {
      readonly firstSeq: number;
      readonly count: number;
      readonly start: number;
      readonly end: number;
    },
  ) {
    super(frame.firstSeq, frame.count, batch, frame.start, frame.end);
  }
}
