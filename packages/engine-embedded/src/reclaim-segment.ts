import type { Views } from "@daybook/views";
import {
  BATCH_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  writeBatchHeader,
  writeFrameHeader,
} from "./frame-format.js";
import type { ScannedBatch, ScannedFrame } from "./scan-segment.js";
import type { Segments } from "./segments.js";

/**
 * Gives back the space of a sealed segment in which everything was erased. What stays are the erase entries: they say
 * that ids are used up, and where in the feed of its tenant a deletion stands.
 */
export async function reclaimSegment(
  segments: Segments,
  views: Views,
  { segment, erasing }: { readonly segment: number; readonly erasing: number },
): Promise<void> {
  const header = segments.header(segment);
  const isBehind = (views.stand?.segment ?? 0) <= segment;
  if (header === undefined || header.hollow || segment === segments.last.segment || isBehind) return;
  const scan = await segments.scan(segment);
  const kept: Buffer[] = [];
  for (;;) {
    const batch = await scan.next();
    if ("kind" in batch) {
      // Bytes that are no batch: that is for `check` to find, not for us to write over.
      if (batch.kind === "bad") return;
      break;
    }
    // The first frame that lives ends it: in a segment of many sessions that is nearly at once.
    if (!batch.frames.every((frame) => isErasedFrame(frame, views, erasing))) return;
    const left = batch.frames.filter((frame) => frame.header.kind === "erase");
    if (left.length > 0) kept.push(hollowBatch(batch, left));
  }
  await segments.replaceByHollow(segment, kept);
}

/** The log that is being erased has just been zeroed; of others the views know whether they are done. */
function isErasedFrame({ header }: ScannedFrame, views: Views, erasing: number): boolean {
  return header.kind === "erase" || header.log === erasing || views.isErased(header.log);
}

function hollowBatch({ header }: ScannedBatch, frames: readonly ScannedFrame[]): Buffer {
  const parts = frames.map(({ header: frame, payload = Buffer.alloc(0), offset }) => {
    const bytes = Buffer.alloc(FRAME_HEADER_BYTES);
    writeFrameHeader(bytes, 0, { ...frame, movedFrom: frame.movedFrom === 0 ? offset : frame.movedFrom });
    return Buffer.concat([bytes, payload]);
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(BATCH_HEADER_BYTES);
  writeBatchHeader(head, { ...header, bodyBytes: body.length, frames: frames.length });
  return Buffer.concat([head, body]);
}
