/** Where a frame stands in the log's files, and how many events it holds (0: a header change). */
export interface FramePosition {
  readonly segment: number;
  readonly offset: number;
  /** Header and payload. */
  readonly bytes: number;
  readonly count: number;
}

/** Positions as they are stored: four numbers each, in order. */
export type PackedPositions = number[];

export function pushPosition(packed: PackedPositions, position: FramePosition): void {
  packed.push(position.segment, position.offset, position.bytes, position.count);
}

export function positionAt(packed: readonly number[], index: number): FramePosition {
  const at = index * 4;
  return {
    segment: packed[at] as number,
    offset: packed[at + 1] as number,
    bytes: packed[at + 2] as number,
    count: packed[at + 3] as number,
  };
}

/** A stretch of a log's frames; the first event in it, or behind it, has seq `nextSeq`. */
export interface IndexRun {
  readonly nextSeq: number;
  /** How many frames of the log stand before this run: tells runs apart that hold only header changes. */
  readonly ordinal: number;
  readonly positions: PackedPositions;
}

/** Frames per stored run: few enough to rewrite in the head's record, enough to keep the tree small. */
export const RUN_FRAMES = 32;
