import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
} from "./frame-format.js";
import { type LogFile, type LogFiles, writeAll } from "./log-files.js";
import { damaged, StoreRefused, unreadable } from "./refusals.js";
import type { SpareSegment } from "./spare-segment.js";

/** A file that takes the place of a segment once it is whole. */
export const HOLLOW_SUFFIX = ".hollow";

export async function createSegment(
  files: LogFiles,
  header: SegmentHeader,
  spare?: SpareSegment,
): Promise<LogFile> {
  const name = segmentName(header.segment);
  const made = await spare?.take(name, encodeSegmentHeader(header));
  if (made !== undefined) {
    await files.syncFolder().catch(syncFailed);
    return made;
  }
  const file = await files.open(name, "create");
  try {
    await writeAll(file, encodeSegmentHeader(header), 0);
  } catch (error) {
    // Left there, it would be in the way of the next try.
    await file.close();
    await files.remove(name);
    throw error;
  }
  await synced(file);
  await files.syncFolder().catch(syncFailed);
  return file;
}

/** After a failed sync the kernel may have dropped the very pages: asking again would lie. */
export function syncFailed(cause: unknown): never {
  throw new StoreRefused("sync_failed", "a sync of the log failed", { cause });
}

export const synced = (file: LogFile): Promise<void> => file.sync().catch(syncFailed);

export async function readSegmentHeader(
  files: LogFiles,
  segment: number,
): Promise<SegmentHeader | undefined> {
  const file = await openSegment(files, segment, "read");
  try {
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const count = await file.read(bytes, 0).catch((cause: unknown) => {
      throw unreadable(segmentName(segment), cause);
    });
    const header = decodeSegmentHeader(bytes.subarray(0, count));
    if (header === "unknown_version") {
      throw new StoreRefused(
        "unknown_format",
        `${segmentName(segment)} was written by another version of Daybook. Start that version, ` +
          "or export its sessions with it and import them here.",
      );
    }
    if (header === "bad") return undefined;
    return header.segment === segment ? header : undefined;
  } finally {
    await file.close();
  }
}

/** A hollow file that was not put in place yet: the segment itself is still there. */
export async function removeUnfinished(files: LogFiles): Promise<void> {
  for (const name of await files.list()) if (name.endsWith(HOLLOW_SUFFIX)) await files.remove(name);
}

/** Too short to hold anything but its own header. */
export async function isUnbegun(files: LogFiles, segment: number): Promise<boolean> {
  return (await sizeOf(files, segment)) <= SEGMENT_HEADER_BYTES;
}

async function sizeOf(files: LogFiles, segment: number): Promise<number> {
  const file = await openSegment(files, segment, "read");
  const size = await file.size();
  await file.close();
  return size;
}

export function openSegment(files: LogFiles, segment: number, mode: "read" | "write"): Promise<LogFile> {
  return files.open(segmentName(segment), mode).catch((cause: unknown) => {
    throw unreadable(segmentName(segment), cause);
  });
}

export async function removeSynced(files: LogFiles, name: string): Promise<void> {
  await files.remove(name);
  await files.syncFolder();
}

/** The newest header vouches for the segment before it. */
export async function checkSealed(files: LogFiles, headers: readonly SegmentHeader[]): Promise<void> {
  const header = headers.at(-1);
  const before = headers.at(-2);
  if (header === undefined || before === undefined) return;
  if (before.hollow) return;
  if (header.storeId !== before.storeId)
    throw damaged(segmentName(header.segment), 0, "it belongs to another store");
  const size = await sizeOf(files, before.segment);
  if (size < header.previousLength) {
    throw damaged(
      segmentName(before.segment),
      size,
      `${header.previousLength - size} bytes are missing at its end`,
    );
  }
}
