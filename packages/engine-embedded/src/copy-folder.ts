import { copyFile, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "@daybook/engine";
import { DiskFiles } from "./disk-files.js";
import { segmentName, segmentOfName } from "./frame-format.js";
import { logFolder } from "./open-engine.js";
import { StoreRefused } from "./refusals.js";

export interface Copied {
  readonly files: number;
  readonly bytes: number;
}

/**
 * Copies the log out of a data folder, also while a server writes to it: files only grow, so a copy of them in order
 * is a prefix of the log, at worst with an incomplete batch that the next start cuts off. An erasure under way is
 * finished in the copy too: its entry stands behind what it erases. Views are not copied; they are rebuilt.
 * @throws StoreRefused `not_a_store`
 */
export async function backupFolder(
  dataDir: string,
  target: string,
  onProgress: (copied: Copied) => void = () => undefined,
): Promise<Copied> {
  const numbers = await segmentsIn(dataDir);
  await refuseUsed(target);
  const to = logFolder(target);
  await makeFolder(to);
  let copied: Copied = { files: 0, bytes: 0 };
  for (const number of numbers) {
    const name = segmentName(number);
    await copyFile(join(logFolder(dataDir), name), join(to, name));
    await syncFile(join(to, name));
    copied = { files: copied.files + 1, bytes: copied.bytes + (await stat(join(to, name))).size };
    onProgress(copied);
  }
  await new DiskFiles(to).syncFolder();
  await new DiskFiles(target).syncFolder();
  return copied;
}

/** Makes a data folder out of a backup. The folder must be new or empty. */
export function restoreFolder(
  backup: string,
  dataDir: string,
  onProgress?: (copied: Copied) => void,
): Promise<Copied> {
  return backupFolder(backup, dataDir, onProgress);
}

async function segmentsIn(folder: string): Promise<number[]> {
  const names = await readdir(logFolder(folder)).catch(() => [] as string[]);
  const numbers = names.flatMap((name) => segmentOfName(name) ?? []).sort((one, other) => one - other);
  if (numbers.length === 0) throw new StoreRefused("not_a_store", `There is no log in ${folder}.`);
  return numbers;
}

async function refuseUsed(target: string): Promise<void> {
  const names = await readdir(logFolder(target)).catch(() => [] as string[]);
  if (names.length > 0)
    throw new StoreRefused("not_a_store", `${target} holds a log already. Choose a new folder.`);
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
