import { execFile } from "node:child_process";
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { open, type RootDatabase } from "lmdb";
import { type Key, metaKey } from "./records.js";

/**
 * Opening and closing an LMDB folder so that damage is noticed. LMDB trusts its file: a shortened one ends the
 * process on a page fault. So a small file beside it remembers how long it was, and after an unclean stop a child
 * process opens it first.
 */
type Database = RootDatabase<unknown, Key>;

const DATA = "data.mdb";
const SIZE = "size";

export async function openEnvironment(
  folder: string,
  format: string,
  log: (message: string) => void,
): Promise<Database> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const why = await whyNotUsable(folder);
  if (why !== undefined) {
    if (why !== "there are none") log(`views are rebuilt from the log: ${why}`);
    clear(folder);
  }
  // Before it is opened: should damage end this process now, the next start looks in a child process first.
  if (why === undefined) recordSize(folder, dataSize(folder) ?? 0, "open");
  let database = openDatabase(folder);
  const found = database.get(metaKey("format"));
  if (found !== format) {
    if (found !== undefined)
      log("views are rebuilt from the log: they were made by another version or for another store");
    await database.close();
    clear(folder);
    database = openDatabase(folder);
  } else if (database.get(metaKey("compact")) === true) {
    database = await compacted(folder, database);
  }
  recordSize(folder, dataSize(folder) ?? 0, "open");
  return database;
}

export async function closeEnvironment(database: Database): Promise<void> {
  await database.flushed;
  await database.close();
}

/** Without its size a data file is not trusted again. */
export function forgetSize(folder: string): void {
  rmSync(join(folder, SIZE), { force: true });
}

/** Remembers how long the data file is, beside it. */
export function recordSize(folder: string, size: number, state: "open" | "closed"): void {
  // In place: when a file is cut first, some file systems write it out at once, and appends would wait for that.
  const descriptor = openSync(join(folder, SIZE), constants.O_CREAT | constants.O_RDWR, 0o600);
  try {
    writeSync(descriptor, `${String(size).padStart(16, "0")} ${state.padEnd(6)}\n`, 0);
  } finally {
    closeSync(descriptor);
  }
}

export function dataSize(folder: string): number | undefined {
  return fileSize(join(folder, DATA));
}

function openDatabase(folder: string): Database {
  return open<unknown, Key>({ path: folder, encoding: "msgpack", noMemInit: false });
}

async function whyNotUsable(folder: string): Promise<string | undefined> {
  const size = fileSize(join(folder, DATA));
  if (size === undefined) return "there are none";
  const remembered = /^(\d+) (open|closed) *\n$/.exec(readText(join(folder, SIZE)) ?? "");
  if (remembered === null) return "it is not known how long their file was";
  if (size < Number(remembered[1])) return `their file has ${size} bytes of ${remembered[1] ?? ""}`;
  if (remembered[2] === "closed") return undefined;
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

function fileSize(path: string): number | undefined {
  try {
    return statSync(path).size;
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
