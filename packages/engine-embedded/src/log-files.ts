/**
 * The log's whole access to a disk. Everything goes through here, so that tests can count, fail, tear and drop what
 * was not synced.
 */
export interface LogFiles {
  /** Names of the files in the folder, unsorted. */
  list(): Promise<string[]>;
  open(name: string, mode: "create" | "write" | "read"): Promise<LogFile>;
  remove(name: string): Promise<void>;
  /** Replaces `to` if it exists. */
  rename(from: string, to: string): Promise<void>;
  /** Makes creations, removals and renames survive a power loss. */
  syncFolder(): Promise<void>;
  /** Bytes that can still be written; Infinity where that has no meaning. */
  freeBytes(): Promise<number>;
}

export interface LogFile {
  /** Bytes read; fewer than asked only at the end of the file. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Bytes written; may be fewer than given. */
  write(bytes: Uint8Array, offset: number): Promise<number>;
  /** Resolves when all that was written survives a power loss. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** Writes all of it, however short the single writes are. */
export async function writeAll(file: LogFile, bytes: Uint8Array, offset: number): Promise<void> {
  let written = await file.write(bytes, offset);
  while (written < bytes.length) {
    const more = await file.write(bytes.subarray(written), offset + written);
    if (more === 0) throw new Error("the file takes no more bytes");
    written += more;
  }
}
