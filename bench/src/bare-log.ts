import { fdatasync, open, write, close } from "node:fs";
import { promisify } from "node:util";

const openFile = promisify(open);
const closeFile = promisify(close);

/** As in the engine: below this a batch waits for the end of the turn. */
const HALF_MIN = 8;

/**
 * What the disk and Node allow: appends of a fixed size, with nothing but a write and an fdatasync per batch. No
 * format, no checksum, no index. Batched as the engine batches them — a write begins once half as many wait as were in
 * the last one — or, `at once`, all that came in the turn together, which suits callers that do nothing in between.
 */
export class BareLog {
  private waiting: (() => void)[] = [];
  private busy = false;
  private offset = 0;
  private lastCount = 0;
  private soon: NodeJS.Immediate | undefined;

  private constructor(
    private readonly descriptor: number,
    private readonly bytes: Buffer,
    private readonly batching: "as the engine" | "at once",
  ) {}

  static async open(
    path: string,
    eventBytes: number,
    batching: "as the engine" | "at once" = "as the engine",
  ): Promise<BareLog> {
    return new BareLog(await openFile(path, "w"), Buffer.alloc(eventBytes, "x"), batching);
  }

  append(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.start();
    });
  }

  close(): Promise<void> {
    return closeFile(this.descriptor);
  }

  private start(): void {
    if (this.busy) return;
    const half =
      this.batching === "as the engine" && this.waiting.length >= Math.max(HALF_MIN, this.lastCount / 2);
    if (half) this.writeBatch();
    else this.soon ??= setImmediate(() => this.writeBatch());
  }

  private writeBatch(): void {
    clearImmediate(this.soon);
    this.soon = undefined;
    if (this.busy || this.waiting.length === 0) return;
    this.busy = true;
    const batch = this.waiting;
    this.waiting = [];
    this.lastCount = batch.length;
    const bytes = Buffer.concat(batch.map(() => this.bytes));
    write(this.descriptor, bytes, 0, bytes.length, this.offset, (error) => {
      if (error !== null) throw error;
      fdatasync(this.descriptor, (failed) => {
        if (failed !== null) throw failed;
        this.offset += bytes.length;
        this.busy = false;
        if (this.batching === "as the engine") this.writeBatch();
        for (const resolve of batch) resolve();
      });
    });
  }
}
