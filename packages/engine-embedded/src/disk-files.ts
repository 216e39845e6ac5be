import { close, fdatasync, fstat, ftruncate, open as openFile, read, write, writeSync } from "node:fs";
import { open, readdir, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LogFile, LogFiles } from "./log-files.js";

const FLAGS = { create: "wx+", write: "r+", read: "r" } as const;

const openAsync = promisify(openFile);
const fdatasyncAsync = promisify(fdatasync);
const ftruncateAsync = promisify(ftruncate);
const fstatAsync = promisify(fstat);
const closeAsync = promisify(close);

const QUICK_BYTES_MAX = 128 * 1024;

/** Real files in one folder. */
export class DiskFiles implements LogFiles {
  constructor(private readonly folder: string) {}

  list(): Promise<string[]> {
    return readdir(this.folder);
  }

  async open(name: string, mode: "create" | "write" | "read"): Promise<LogFile> {
    return new DiskFile(await openAsync(join(this.folder, name), FLAGS[mode], 0o600));
  }

  remove(name: string): Promise<void> {
    return rm(join(this.folder, name));
  }

  rename(from: string, to: string): Promise<void> {
    return rename(join(this.folder, from), join(this.folder, to));
  }

  async syncFolder(): Promise<void> {
    const handle = await open(this.folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.folder);
    return bavail * bsize;
  }
}

// Callbacks, not FileHandles: a write and a sync per batch are the store's floor, and a FileHandle's promises cost as
// much as the system calls.
class DiskFile implements LogFile {
  /** Where the last write ended. */
  private end = -1;

  constructor(private readonly descriptor: number) {}

  read(into: Uint8Array, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      read(this.descriptor, into, 0, into.length, offset, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }

  write(bytes: Uint8Array, offset: number): Promise<number> {
    // A small write that goes on where the last one ended is a copy into the page cache and waits for nothing: done at
    // once it is cheaper than its way through the thread pool and back. Elsewhere it may have to read a page first.
    const isQuick = offset === this.end && bytes.length <= QUICK_BYTES_MAX;
    this.end = offset + bytes.length;
    if (isQuick) return settled(() => writeSync(this.descriptor, bytes, 0, bytes.length, offset));
    return new Promise((resolve, reject) => {
      write(this.descriptor, bytes, 0, bytes.length, offset, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }

  sync(): Promise<void> {
    return fdatasyncAsync(this.descriptor);
  }

  truncate(length: number): Promise<void> {
    return ftruncateAsync(this.descriptor, length);
  }

  async size(): Promise<number> {
    return (await fstatAsync(this.descriptor)).size;
  }

  close(): Promise<void> {
    return closeAsync(this.descriptor);
  }
}

/** Done now; a failure is a rejection all the same. */
function settled<Result>(work: () => Result): Promise<Result> {
  return new Promise((resolve) => resolve(work()));
}
