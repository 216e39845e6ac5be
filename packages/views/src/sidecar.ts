import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Stand } from "./records.js";

/** What is remembered about the views' file beside it: LMDB cannot tell that its file is damaged or out of date. */
export interface Sidecar {
  /** How long the file was, in bytes. */
  readonly size: number;
  /**
   * `closed`: everything in it was synced, and nobody wrote to it since. `wrong`: it said something that the log does
   * not.
   */
  readonly state: "open" | "closed" | "wrong";
  /** In which run of the machine it was written; empty where the system does not tell. */
  readonly boot: string;
  /** How far the views stood: so far the log is durable, whatever becomes of the views. */
  readonly stand: Stand | null;
}

const NAME = "sidecar.json";
/** Longer than any: it is written over in place. */
const BYTES = 512;

const sync = promisify(fdatasync);

/**
 * Names this run of the machine. What was written and not synced in the same run is still there after a crash of the
 * process; of another run nobody knows what reached the disk.
 */
export const BOOT = thisBoot();

export function readSidecar(folder: string): Sidecar | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, NAME), "utf8")) as Sidecar;
  } catch {
    // None, or one that a power loss tore: nothing is known.
    return undefined;
  }
}

/** Remembers it for the next start. Survives a power loss when this returns. */
export function writeSidecar(folder: string, sidecar: Sidecar): void {
  const file = overwrite(folder, sidecar);
  try {
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** The same, without holding anybody up: survives a power loss when it resolves. */
export async function updateSidecar(folder: string, sidecar: Sidecar): Promise<void> {
  const file = overwrite(folder, sidecar);
  try {
    await sync(file);
  } finally {
    closeSync(file);
  }
}

/** Until this returns a power loss may take what was written to the file. */
export function syncFile(path: string): void {
  const file = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** In place: a file that is cut first is written out at once by some file systems, and appends would wait for that. */
function overwrite(folder: string, sidecar: Sidecar): number {
  const file = openSync(join(folder, NAME), constants.O_CREAT | constants.O_RDWR, 0o600);
  writeSync(file, `${JSON.stringify(sidecar).padEnd(BYTES - 1)}\n`, 0);
  return file;
}

function thisBoot(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
