import { type LogFile, type LogFiles, writeAll } from "./log-files.js";

const NAME = "spare";
/** Synced in pieces: the log's own syncs wait for the one under way. Large enough that another thread writes them. */
const PIECE_BYTES = 160 * 1024;

/**
 * The file of the next segment, made ahead of time and full of zeros. To write over what is there already and sync it
 * takes half as long as to make a file longer: the file system has nothing to note in its journal.
 */
export class SpareSegment {
  private making: Promise<void> | undefined;
  private ready: LogFile | undefined;
  private closing = false;

  constructor(private readonly files: LogFiles) {}

  /** Has one made in the background, unless there is one. It is a help only: if it fails, segments grow. */
  prepare(bytes: number): void {
    if (this.ready !== undefined || this.closing) return;
    this.making ??= this.make(bytes)
      .catch(() => this.discard())
      .finally(() => (this.making = undefined));
  }

  /** The spare file under its new name, beginning with `header`; undefined when there is none so far. */
  async take(name: string, header: Buffer): Promise<LogFile | undefined> {
    const file = this.ready;
    if (file === undefined) return undefined;
    this.ready = undefined;
    await writeAll(file, header, 0);
    // Under its name it must never be found without its header.
    await file.sync();
    await this.files.rename(NAME, name);
    return file;
  }

  /** Leaves none behind. */
  async close(): Promise<void> {
    this.closing = true;
    await this.making;
    if (this.ready !== undefined) await this.discard();
  }

  /** What a crash left: it may not be whole. */
  static async removeLeftOver(files: LogFiles): Promise<void> {
    if ((await files.list()).includes(NAME)) await files.remove(NAME);
  }

  private async make(bytes: number): Promise<void> {
    const file = await this.files.open(NAME, "create");
    try {
      const zeros = Buffer.alloc(Math.min(PIECE_BYTES, bytes));
      for (let at = 0; at < bytes && !this.closing; at += zeros.length) {
        await writeAll(file, zeros.subarray(0, bytes - at), at);
        await file.sync();
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    this.ready = file;
  }

  private async discard(): Promise<void> {
    const file = this.ready;
    this.ready = undefined;
    await file?.close();
    await SpareSegment.removeLeftOver(this.files).catch(() => undefined);
  }
}
