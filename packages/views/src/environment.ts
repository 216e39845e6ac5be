import { execFile } from "node:child_process";
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { open, type RootDatabase } from "lmdb";
import { type Key, metaKey, type Stand } from "./records.js";
import { BOOT, readSidecar, type Sidecar, syncFile, writeSidecar } from "./sidecar.js";

/**
 * Opening and closing an LMDB folder so that damage is noticed. LMDB trusts its file: a shortened one ends the
 * process on a page fault. So a small file beside it remembers how long it was, and after an unclean stop a child
 * process opens it first.
 *
 * While they are open the views are never synced: a sync of theirs would hold up those of the log. What that may cost
 * is a rebuild after the machine itself went down, and the sidecar tells that it did.
 */
type Database = RootDatabase<unknown, Key>;

const DATA = "data.mdb";

export interface Environment {
  readonly database: Database;
  /** How far these views, or those that had to be thrown away, are known to have stood. */
  readonly proven: Stand | null;
}

export async function openEnvironment(
  folder: string,
  format: string,
  log: (message: string) => void,
): Promise<Environment> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const sidecar = readSidecar(folder);
  const proven = sidecar?.stand ?? null;
  const why = await whyNotUsable(folder, sidecar);
  if (why !== undefined) {
    if (why !== "there are none") log(`views are rebuilt from the log: ${why}`);
    clear(folder);
  }
  // Before anything is written to them — and, should damage end this process now, the next start looks in a child
  // process first.
  writeSidecar(folder, { size: dataSize(folder) ?? 0, state: "open", boot: BOOT, stand: proven });
  let database = openDatabase(folder);
  const found = database.get(metaKey("format"));
  if (found !== format) {
    if (found !== undefined)
      log("views are rebuilt from the log: they were made by another version or for another store");
    database = await emptied(folder, database);
  } else if (database.get(metaKey("compact")) === true) {
    database = await compacted(folder, database);
  }
  writeSidecar(folder, { size: dataSize(folder) ?? 0, state: "open", boot: BOOT, stand: proven });
  return { database, proven };
}

/** Afterwards all of it has reached the disk. */
export async function closeEnvironment(folder: string, database: Database): Promise<void> {
  await database.flushed;
  await database.close();
  syncFile(join(folder, DATA));
}

export function dataSize(folder: string): number | undefined {
  try {
    return statSync(join(folder, DATA)).size;
  } catch {
    return undefined;
  }
}

function openDatabase(folder: string): Database {
  return open<unknown, Key>({ path: folder, encoding: "msgpack", noMemInit: false, noSync: BOOT !== "" });
}

async function whyNotUsable(folder: string, sidecar: Sidecar | undefined): Promise<string | undefined> {
  const size = dataSize(folder);
  if (size === undefined) return "there are none";
  if (sidecar === undefined) return "it is not known how long their file was";
  if (size < sidecar.size) return `their file has ${size} bytes of ${sidecar.size}`;
  if (sidecar.state === "wrong") return "they said something that the log does not";
  if (sidecar.state === "closed") return undefined;
  if (sidecar.boot !== BOOT) return "the machine went down while they were open";
  return (await opensInChild(folder)) ? undefined : "their file could not be opened";
}

async function opensInChild(folder: string): Promise<boolean> {
  const probe = fileURLToPath(new URL("./probe.js", import.meta.url));
  try {
    await promisify(execFile)(process.execPath, [probe, folder], { timeout: 60_000 });
    return true;
  } catch {
    // However the child ended — an error, a page fault, a time-out — the views are not to be trusted.
    return false;
  }
}

/** A copy without free pages: what was erased leaves the file for good. */
export async function compacted(folder: string, database: Database): Promise<Database> {
  const copy = join(folder, "compacting");
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { mode: 0o700 });
  await database.backup(copy, true);
  await database.close();
  renameSync(join(copy, DATA), join(folder, DATA));
  rmSync(copy, { recursive: true, force: true });
  // The lock file belongs to the old data file.
  rmSync(join(folder, "lock.mdb"), { force: true });
  const fresh = openDatabase(folder);
  await fresh.remove(metaKey("compact"));
  return fresh;
}

/** An empty database in the place of this one. */
export async function emptied(folder: string, database: Database): Promise<Database> {
  await database.close();
  clear(folder);
  return openDatabase(folder);
}

function clear(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}
