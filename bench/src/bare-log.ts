import { fdatasync, open, write, close } from "node:fs";
import { promisify } from "node:util";

const openFile = promisify(open);
const closeFile = promisify(close);

/**
 * What the disk and Node allow: appends of a fixed size, batched as the engine batches them, with nothing but a write
 * and an fdatasync per batch. No format, no checksum, no index.
 */
export class BareLog {
  private waiting: (() => void)[] = [];
  private busy = false;
  private offset = 0;

  private constructor(
    private readonly descriptor: number,
    private readonly bytes: Buffer,
  ) {}

  static async open(path: string, eventBytes: number): Promise<BareLog> {
    return new BareLog(await openFile(path, "w"), Buffer.alloc(eventBytes, "x"));
  }

  append(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      if (!this.busy) this.start();
    });
  }

  close(): Promise<void> {
    return closeFile(this.descriptor);
  }

  private start(): void {
    this.busy = true;
    setImmediate(() => this.writeBatch());
  }

  private writeBatch(): void {
    const batch = this.waiting;
    this.waiting = [];
    const bytes = Buffer.concat(batch.map(() => this.bytes));
    write(this.descriptor, bytes, 0, bytes.length, this.offset, (error) => {
      if (error !== null) throw error;
      fdatasync(this.descriptor, (failed) => {
        if (failed !== null) throw failed;
        this.offset += bytes.length;
        this.busy = false;
        for (const resolve of batch) resolve();
        if (this.waiting.length > 0) this.start();
      });
    });
  }
}
