import type { ScannedBatch } from "./scan-segment.js";

export interface LostPlace {
  readonly segment: number;
  readonly offset: number;
}

/**
 * Payloads that a scan found missing: zeroed, or — when the power went while they were — half zeroed. That is legal
 * only in a log that was erased; what is left here at the end of a scan is damage.
 */
export class LostPayloads {
  private readonly firstOfLog = new Map<number, LostPlace>();

  see({ header: { segment }, offset, frames }: ScannedBatch): void {
    for (const { header, payload } of frames) {
      if (payload === undefined && !this.firstOfLog.has(header.log))
        this.firstOfLog.set(header.log, { segment, offset });
      if (payload !== undefined && header.kind === "erase") this.firstOfLog.delete(header.log);
    }
  }

  get isEmpty(): boolean {
    return this.firstOfLog.size === 0;
  }

  /** Where the first of them stands in the log. */
  get first(): LostPlace | undefined {
    return [...this.firstOfLog.values()].sort(
      (one, other) => one.segment - other.segment || one.offset - other.offset,
    )[0];
  }
}

export const WHY_LOST = "a payload is damaged or zeroed, and no erase entry explains it";
