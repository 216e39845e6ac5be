import type { Head, SessionHeader } from "@daybook/core";
import type { StoredEvent } from "@daybook/engine";
import { type FramePosition, OpenLog, type Released } from "@daybook/views";
import type { EventBlock } from "./event-block.js";

/** A log with what only the running process has of it: the durable state, recent events, those who wait for more. */
export class LiveLog extends OpenLog {
  /** What readers may see of it. */
  durableHead: Head | undefined;
  durableHeaderAt: FramePosition | undefined;
  /** Here until the views can find it. */
  durableHeader: SessionHeader | undefined;
  /** The batch this log last changed in, until that is durable. */
  lastBatch: { readonly written: Promise<void> } | undefined;
  /** Made for the first who waits: most logs have none, and there are many logs. */
  watchers: Set<() => void> | undefined;
  /** The newest durable events, without a gap up to the last. */
  private blocks: EventBlock[] = [];
  /** Blocks in front of this one were let go. */
  private firstBlock = 0;

  /** The fold as it stands becomes what readers see: after recovery, when all of it is on disk. */
  publish(): void {
    this.durableHead = this.head;
    this.durableHeaderAt = this.headerAt;
    this.durableHeader = this.header;
  }

  override release(released: Released): void {
    super.release(released);
    // The views have the header now.
    if (this.header === undefined) this.durableHeader = undefined;
  }

  get isWatched(): boolean {
    return this.watchers !== undefined && this.watchers.size > 0;
  }

  get firstSeqInMemory(): number | undefined {
    return this.blocks[this.firstBlock]?.firstSeq;
  }

  get hasBlocks(): boolean {
    return this.blocks.length > this.firstBlock;
  }

  addBlock(block: EventBlock): void {
    this.blocks.push(block);
  }

  /** Lets go of the oldest block, if it is this one: an erased log has let go of all. */
  dropBlock(block: EventBlock): void {
    if (this.blocks[this.firstBlock] !== block) return;
    this.firstBlock++;
    // Cut off a good many at a time: shifting each one would move all others, and one busy session has many.
    if (this.firstBlock * 8 <= this.blocks.length) return;
    this.blocks = this.blocks.slice(this.firstBlock);
    this.firstBlock = 0;
  }

  dropBlocks(): void {
    this.blocks = [];
    this.firstBlock = 0;
  }

  /** Durable events after `afterSeq`, all of which are in memory. */
  recent(afterSeq: number, limits: { eventsMax: number; bytesMax: number }): readonly StoredEvent[] {
    const first = this.blockOf(afterSeq + 1);
    const block = this.blocks[first];
    if (block === undefined) return [];
    const isLast = first === this.blocks.length - 1;
    if (
      isLast &&
      block.firstSeq === afterSeq + 1 &&
      block.count <= limits.eventsMax &&
      block.byteLength <= limits.bytesMax
    ) {
      // The usual case of a live tail, and one shared array for all followers.
      return block.events;
    }
    return takeEvents(this.blocks.slice(first, first + limits.eventsMax), afterSeq, limits);
  }

  /** One durable event's JSON, if it is in memory. */
  recentJson(seq: number): string | undefined {
    const block = this.blocks[this.blockOf(seq)];
    return block !== undefined && seq >= block.firstSeq && seq <= block.lastSeq ? block.json(seq) : undefined;
  }

  private blockOf(seq: number): number {
    let low = this.firstBlock;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.blocks[middle] as EventBlock).firstSeq <= seq) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Events after `afterSeq` out of groups in order, until a limit is reached; at least one if there is one. */
export function takeEvents(
  groups: Iterable<{ readonly events: readonly StoredEvent[] }>,
  afterSeq: number,
  limits: { eventsMax: number; bytesMax: number },
): StoredEvent[] {
  const taken: StoredEvent[] = [];
  let bytes = 0;
  for (const { events } of groups) {
    for (const event of events) {
      if (event.seq <= afterSeq) continue;
      bytes += event.bytes.length;
      if (taken.length > 0 && (taken.length >= limits.eventsMax || bytes > limits.bytesMax)) return taken;
      taken.push(event);
    }
  }
  return taken;
}
