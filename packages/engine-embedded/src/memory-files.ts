import type { LogFile, LogFiles } from "./log-files.js";

/** Files that live as long as the process: for trying out and for tests, never for anybody's data. */
export class MemoryFiles implements LogFiles {
  protected readonly contents = new Map<string, MemoryFile>();

  list(): Promise<string[]> {
    return Promise.resolve([...this.contents.keys()]);
  }

  open(name: string, mode: "create" | "write" | "read"): Promise<LogFile> {
    const known = this.contents.get(name);
    if (mode === "create" ? known !== undefined : known === undefined) {
      return Promise.reject(new Error(`${name} ${known === undefined ? "does not exist" : "exists"}`));
    }
    const file = known ?? new MemoryFile();
    this.contents.set(name, file);
    return Promise.resolve(file);
  }

  remove(name: string): Promise<void> {
    this.contents.delete(name);
    return Promise.resolve();
  }

  rename(from: string, to: string): Promise<void> {
    const file = this.contents.get(from);
    if (file === undefined) return Promise.reject(new Error(`${from} does not exist`));
    this.contents.delete(from);
    this.contents.set(to, file);
    return Promise.resolve();
  }

  syncFolder(): Promise<void> {
    return Promise.resolve();
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(Number.POSITIVE_INFINITY);
  }
}

const CHUNK = 1024 * 1024;

/** A list of chunks, so that growth never copies what is there. */
class MemoryFile implements LogFile {
  private chunks: Buffer[] = [];
  private length = 0;

  read(into: Uint8Array, offset: number): Promise<number> {
    const count = Math.max(0, Math.min(into.length, this.length - offset));
    this.eachChunk(offset, count, (chunk, start, end, done) => into.set(chunk.subarray(start, end), done));
    return Promise.resolve(count);
  }

  write(bytes: Uint8Array, offset: number): Promise<number> {
    this.grow(offset + bytes.length);
    this.eachChunk(offset, bytes.length, (chunk, start, end, done) => {
      chunk.set(bytes.subarray(done, done + end - start), start);
    });
    return Promise.resolve(bytes.length);
  }

  // A turn of the event loop stands for the disk's latency: without it no batch would ever fill.
  sync(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  truncate(length: number): Promise<void> {
    if (length > this.length) this.grow(length);
    this.length = length;
    this.chunks.length = Math.ceil(length / CHUNK);
    const rest = length % CHUNK;
    if (rest !== 0) this.chunks.at(-1)?.fill(0, rest);
    return Promise.resolve();
  }

  size(): Promise<number> {
    return Promise.resolve(this.length);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private grow(length: number): void {
    while (this.chunks.length * CHUNK < length) this.chunks.push(Buffer.alloc(CHUNK));
    this.length = Math.max(this.length, length);
  }

  private eachChunk(
    offset: number,
    count: number,
    use: (chunk: Buffer, start: number, end: number, done: number) => void,
  ): void {
    for (let done = 0; done < count;) {
      const start = (offset + done) % CHUNK;
      const end = Math.min(CHUNK, start + count - done);
      const chunk = this.chunks[Math.floor((offset + done) / CHUNK)];
      if (chunk === undefined) return;
      use(chunk, start, end, done);
      done += end - start;
    }
  }
}
