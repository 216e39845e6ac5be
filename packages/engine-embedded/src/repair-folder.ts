import { copyFile, mkdir, rename, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { checkFolder, type Problem } from "./check-folder.js";
import { DiskFiles } from "./disk-files.js";
import { lockFolder } from "./folder-lock.js";
import { SEGMENT_HEADER_BYTES, segmentName, segmentOfName } from "./frame-format.js";
import { logFolder, viewsFolder } from "./open-engine.js";
import { StoreRefused } from "./refusals.js";

export interface Repaired {
  /** Bytes of log that are no longer in use; they are kept beside it. */
  readonly lostBytes: number;
  readonly message: string;
}

/**
 * Makes a folder that is refused usable again. Views are rebuilt for free; damage in the log costs everything behind
 * it, so that needs `acceptLoss`, and what is taken out is moved aside and never deleted.
 * @throws StoreRefused `damaged` when there is damage and the loss was not accepted.
 */
export async function repairFolder(
  dataDir: string,
  { acceptLoss }: { acceptLoss: boolean },
): Promise<Repaired> {
  const { problems } = await checkFolder(dataDir);
  const [first] = problems;
  if (first === undefined) return { lostBytes: 0, message: "Nothing is damaged." };
  const onlyViews = problems.every(({ file }) => file === "views");
  const lostTail = onlyViews && first.why.includes("past the end of the log");
  if (onlyViews && !lostTail) {
    await rm(viewsFolder(dataDir), { recursive: true, force: true });
    return {
      lostBytes: 0,
      message: "The views were wrong. They were removed; the next start rebuilds them.",
    };
  }
  if (!acceptLoss)
    throw new StoreRefused("damaged", `${first.why} Add --accept-loss to go on without what is lost.`);
  const lock = lockFolder(dataDir);
  try {
    const lostBytes = lostTail ? 0 : await cutLog(dataDir, first);
    await rm(viewsFolder(dataDir), { recursive: true, force: true });
    const message = lostTail
      ? "The views were removed; sessions end where the log ends."
      : `The log was cut at ${first.file} byte ${first.offset}. What stood behind is kept in ${join(dataDir, "lost")}.`;
    return { lostBytes, message };
  } finally {
    lock.release();
  }
}

async function cutLog(dataDir: string, { file, offset }: Problem): Promise<number> {
  const at = segmentOfName(file);
  if (at === undefined)
    throw new StoreRefused("damaged", "A segment is missing or its header is damaged: only a backup helps.");
  const folder = logFolder(dataDir);
  const lost = join(dataDir, "lost");
  await mkdir(lost, { recursive: true, mode: 0o700 });
  const files = new DiskFiles(folder);
  const later = (await files.list()).filter((name) => (segmentOfName(name) ?? 0) > at);
  let bytes = 0;
  for (const name of later) {
    bytes += await sizeOf(files, name);
    await rename(join(folder, name), join(lost, name));
  }
  const name = segmentName(at);
  bytes += (await sizeOf(files, name)) - offset;
  await copyFile(join(folder, name), join(lost, name));
  await truncate(join(folder, name), Math.max(offset, SEGMENT_HEADER_BYTES));
  await files.syncFolder();
  return bytes;
}

async function sizeOf(files: DiskFiles, name: string): Promise<number> {
  const file = await files.open(name, "read");
  try {
    return await file.size();
  } finally {
    await file.close();
  }
}
