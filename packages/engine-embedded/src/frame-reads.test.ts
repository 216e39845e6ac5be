import { crc32 } from "node:zlib";
import { Random } from "@daybook/test-kit";
import type { FramePosition } from "@daybook/views";
import { describe, expect, it } from "vitest";
import { FRAME_HEADER_BYTES, writeFrameHeader } from "./frame-format.js";
import { FrameReads, PositionMismatch } from "./frame-reads.js";
import type { LogFile } from "./log-files.js";

const SEGMENTS = 2;

/** Two files full of frames, and a disk that answers when it likes. */
class Disk {
  readonly positions: FramePosition[] = [];
  readonly payloads: Buffer[] = [];
  readonly files: Buffer[] = [];
  bytesRead = 0;
  private underWay = 0;
  mostUnderWay = 0;

  constructor(
    private readonly random: Random,
    lengths: readonly number[],
  ) {
    const perFile = lengths.length / SEGMENTS;
    for (let segment = 1; segment <= SEGMENTS; segment++) {
      const frames: Buffer[] = [];
      let offset = 0;
      for (const length of lengths.slice((segment - 1) * perFile, segment * perFile)) {
        const frame = this.frame(length);
        frames.push(frame);
        this.positions.push({ segment, offset, bytes: frame.length, count: 1 });
        this.payloads.push(frame.subarray(FRAME_HEADER_BYTES));
        offset += frame.length;
      }
      this.files.push(Buffer.concat(frames));
    }
  }

  get reads(): FrameReads {
    return new FrameReads((segment) => Promise.resolve(this.file(segment)));
  }

  private frame(length: number): Buffer {
    const frame = Buffer.alloc(FRAME_HEADER_BYTES + length, 97 + this.random.between(0, 25));
    writeFrameHeader(frame, 0, {
      ...{ kind: "events", hasState: false, unnumbered: false, count: 1, log: 1, atMs: 1, movedFrom: 0 },
      ...{ seq: this.positions.length + 1, payloadBytes: length },
      payloadCrc: crc32(frame.subarray(FRAME_HEADER_BYTES)),
    });
    return frame;
  }

  private file(segment: number): LogFile {
    const read = async (into: Uint8Array, offset: number): Promise<number> => {
      this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
      for (let turns = this.random.between(0, 4); turns > 0; turns--)
        await new Promise((next) => setImmediate(next));
      this.underWay--;
      this.bytesRead += into.length;
      return this.files[segment - 1]?.subarray(offset, offset + into.length).copy(into) ?? 0;
    };
    return { read } as unknown as LogFile;
  }
}

describe("frames read by their positions", () => {
  it("are those that were asked for, near and far, small and large, however many read at once", async () => {
    const random = new Random(5);
    const sizes = [1, 300, 300, 300, 5_000, 40_000, 70_000];
    const lengths = Array.from({ length: 400 }, () => random.pick(sizes));
    lengths[7] = 3 * 1024 * 1024;
    const disk = new Disk(random, lengths);
    const { reads } = disk;
    const reader = async (share: number): Promise<void> => {
      const wanted = disk.positions.map((_position, index) => index).filter(() => random.chance(share));
      const frames = await reads.read(wanted.map((index) => disk.positions[index] as FramePosition));
      expect(frames.map(({ header }) => header.seq)).toEqual(wanted.map((index) => index + 1));
      for (const [at, index] of wanted.entries())
        expect(frames[at]?.payload?.equals(disk.payloads[index] as Buffer)).toBe(true);
    };
    await Promise.all([1, 0.5, 0.1, 0.1, 0.02, 0.02, 0.02, 0].map(reader));
  });

  it("are read in few large reads, several at once, and keep nothing of what stands between them", async () => {
    const disk = new Disk(
      new Random(6),
      Array.from({ length: 20_000 }, () => 260),
    );
    const wanted = disk.positions.filter((_position, index) => index % 50 === 0);
    const frames = await disk.reads.read(wanted);
    expect(frames).toHaveLength(400);
    expect(disk.bytesRead).toBeLessThan(20_000 * 300);
    expect(disk.mostUnderWay).toBeGreaterThan(1);
    const kept = new Set(frames.map(({ payload }) => payload?.buffer));
    const bytes = [...kept].reduce((sum, buffer) => sum + (buffer?.byteLength ?? 0), 0);
    expect(bytes).toBeLessThan(400 * 300 * 2);
  });

  it("are refused when another frame, half of one or none stands there", async () => {
    const disk = new Disk(new Random(7), [100, 200, 300, 400]);
    const [first] = disk.positions as [FramePosition];
    for (const wrong of [
      { ...first, offset: 1 },
      { ...first, bytes: first.bytes + 1 },
      { ...first, offset: 10_000 },
    ])
      await expect(disk.reads.read([wrong])).rejects.toThrow(PositionMismatch);
    (disk.files[0] as Buffer)[FRAME_HEADER_BYTES] = 1;
    await expect(disk.reads.read(disk.positions)).rejects.toThrow("a damaged payload");
    disk.files[0]?.fill(0, FRAME_HEADER_BYTES, first.bytes);
    expect((await disk.reads.read([first]))[0]?.payload).toBeUndefined();
  });
});
