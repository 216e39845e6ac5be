import type { FramePosition } from "@daybook/views";
import {
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  judgePayload,
  segmentName,
} from "./frame-format.js";
import type { LogFile } from "./log-files.js";

/** Frames this close are read together … */
const GAP_BYTES_MAX = 32 * 1024;
/** … up to this much at once. */
const READ_BYTES_MAX = 1024 * 1024;
/** Reads of one call under way at once: while the disk gives one, another one is copied. */
const READS_AT_ONCE = 3;
/** Buffers kept for reads that have more gaps than frames. */
const SCRATCH_MAX = READS_AT_ONCE * 2;

export interface ReadFrame {
  readonly header: FrameHeader;
  /** Undefined: erased. */
  readonly payload: Buffer | undefined;
}

/** Frames that one read brings, and what stands between them. */
interface Read {
  readonly segment: number;
  readonly offset: number;
  end: number;
  frameBytes: number;
  readonly positions: FramePosition[];
}

/** Reads frames by their positions: those that stand close together at once, and no more is kept than what was asked for. */
export class FrameReads {
  private readonly scratch: Buffer[] = [];

  constructor(private readonly handle: (segment: number) => Promise<LogFile>) {}

  /** @throws PositionMismatch when what stands there is no such frame */
  async read(positions: readonly FramePosition[]): Promise<ReadFrame[]> {
    const reads = readsOf(positions);
    const frames: ReadFrame[][] = reads.map(() => []);
    const left = reads.entries();
    const reader = async (): Promise<void> => {
      for (const [index, read] of left) frames[index] = await this.framesOf(read);
    };
    await Promise.all(Array.from({ length: Math.min(READS_AT_ONCE, reads.length) }, reader));
    return frames.flat();
  }

  private async framesOf({ segment, offset, end, frameBytes, positions }: Read): Promise<ReadFrame[]> {
    const file = await this.handle(segment);
    const length = end - offset;
    if (frameBytes * 2 > length) {
      const bytes = Buffer.allocUnsafeSlow(length);
      const whole = bytes.subarray(0, await file.read(bytes, offset));
      return positions.map((position) => frameIn(whole, position, position.offset - offset));
    }
    // Small parts of a large buffer would keep all of it in memory.
    const scratch = this.scratch.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES_MAX);
    try {
      const whole = scratch.subarray(0, await file.read(scratch.subarray(0, length), offset));
      return positions.map((position) => {
        const at = position.offset - offset;
        return frameIn(Buffer.from(whole.subarray(at, at + position.bytes)), position, 0);
      });
    } finally {
      if (this.scratch.length < SCRATCH_MAX) this.scratch.push(scratch);
    }
  }
}

function readsOf(positions: readonly FramePosition[]): Read[] {
  const reads: Read[] = [];
  for (const position of positions) {
    const { segment, offset, bytes } = position;
    const end = offset + bytes;
    const last = reads.at(-1);
    const isNear =
      last?.segment === segment &&
      offset >= last.end &&
      offset - last.end <= GAP_BYTES_MAX &&
      end - last.offset <= READ_BYTES_MAX;
    if (last !== undefined && isNear) {
      last.positions.push(position);
      last.end = end;
      last.frameBytes += bytes;
    } else reads.push({ segment, offset, end, frameBytes: bytes, positions: [position] });
  }
  return reads;
}

/** A position does not hold the frame that it should. */
export class PositionMismatch extends Error {
  override readonly name = "PositionMismatch";
}

function frameIn(bytes: Buffer, position: FramePosition, at: number): ReadFrame {
  const header = decodeFrameHeader(bytes, at);
  if (header?.payloadBytes !== position.bytes - FRAME_HEADER_BYTES)
    throw new PositionMismatch(`no such frame in ${placeOf(position)}`);
  const payload = bytes.subarray(at + FRAME_HEADER_BYTES, at + position.bytes);
  const verdict = judgePayload(header, payload);
  if (verdict === "bad") throw new PositionMismatch(`a damaged payload in ${placeOf(position)}`);
  return { header, payload: verdict === "whole" ? payload : undefined };
}

function placeOf({ segment, offset }: FramePosition): string {
  return `${segmentName(segment)} at ${offset}`;
}
