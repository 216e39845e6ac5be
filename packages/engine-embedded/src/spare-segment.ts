import { type LogFile, type LogFiles, writeAll } from "./log-files.js";

const NAME = "spare";
/** Synced in pieces: the log's own syncs wait for the one under way. Large enough that another thread writes them. */
const PIECE_BYTES = 160 * 1024;

/**
 * The file of the next segment, made ahead of time and full of zeros. To write over what is there already and sync it
 * takes half as long as to make a file longer: the file system has nothing to note in its journal. It is made bit by
 * bit while the log fills the segment before it: at once, its syncs would be felt.
 */
export class SpareSegment {
  private file: LogFile | undefined;
  /** How long it is, and how long it is to be by now. */
  private length = 0;
  private wanted = 0;
  private isWhole = false;
  private growing: Promise<void> | undefined;
  private closing = false;

  constructor(private readonly files: LogFiles) {}

  /**
   * Has the first `upTo` of its bytes made in the background, unless they are there. It is a help only: if it fails,
   * segments grow.
   */
  prepare(bytes: number, upTo: number): void {
    this.wanted = Math.min(bytes, upTo);
    if (this.isWhole || this.length >= this.wanted || this.closing) return;
    this.growing ??= this.grow(bytes)
      .catch(() => this.discard())
      .finally(() => (this.growing = undefined));
  }

  /** The spare file under its new name, beginning with `header`; undefined when there is no whole one. */
  async take(name: string, header: Buffer): Promise<LogFile | undefined> {
    const { file } = this;
    if (!this.isWhole || file === undefined) return undefined;
    this.forget();
    await writeAll(file, header, 0);
    // Under its name it must never be found without its header.
    await file.sync();
    await this.files.rename(NAME, name);
    return file;
  }

  /** Leaves none behind. */
  async close(): Promise<void> {
    this.closing = true;
    await this.growing;
    if (this.file !== undefined) await this.discard();
  }

  /** What a crash left: it may not be whole. */
  static async removeLeftOver(files: LogFiles): Promise<void> {
    if ((await files.list()).includes(NAME)) await files.remove(NAME);
  }

  private async grow(bytes: number): Promise<void> {
    this.file ??= await this.files.open(NAME, "create");
    const zeros = Buffer.alloc(Math.min(PIECE_BYTES, bytes));
    while (this.length < this.wanted && !this.closing) {
      const piece = zeros.subarray(0, bytes - this.length);
      await writeAll(this.file, piece, this.length);
      await this.file.sync();
      this.length += piece.length;
    }
    this.isWhole = this.length >= bytes;
  }

  private async discard(): Promise<void> {
    const { file } = this;
    this.forget();
    await file?.close().catch(() => undefined);
    await SpareSegment.removeLeftOver(this.files).catch(() => undefined);
  }

  private forget(): void {
    this.file = undefined;
    this.length = 0;
    this.isWhole = false;
  }
}
