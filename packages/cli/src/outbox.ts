/** What waits to be sent: the JSON text of one event, and whatever the sender needs to know about it. */
export interface Outgoing {
  readonly text: string;
}

export interface OutboxLimits {
  /** From here on `room` makes the writer wait. */
  readonly queueBytesMax: number;
  readonly batchEventsMax: number;
  /** A batch may be larger only if one event is. */
  readonly batchBytesMax: number;
}

/** What a batch is as the body of an append. */
export function batchBody(batch: readonly Outgoing[]): string {
  return `{"events":[${batch.map(({ text }) => text).join(",")}]}`;
}

const MIB = 1024 * 1024;

/** Half of what the server takes in one append, so that limits set lower there do not bite at once. */
export const OUTBOX_LIMITS: OutboxLimits = {
  queueBytesMax: 8 * MIB,
  batchEventsMax: 500,
  batchBytesMax: 4 * MIB,
};

/**
 * Sends events in order, one batch in flight at a time: what is added meanwhile goes with the next one. So a slow
 * producer is recorded line by line as it goes, and a fast one in large batches, without a timer.
 *
 * Once `send` fails, everything queued and added later is dropped: a later event must not overtake a lost one.
 */
export class Outbox<Item extends Outgoing> {
  private failure: Error | undefined;
  private queue: { item: Item; bytes: number }[] = [];
  private queuedBytes = 0;
  private isSending = false;
  private waiting: (() => void)[] = [];

  constructor(
    private readonly send: (batch: readonly Item[]) => Promise<void>,
    private readonly limits: OutboxLimits = OUTBOX_LIMITS,
  ) {}

  /** Nothing more will be sent. */
  get hasFailed(): boolean {
    return this.failure !== undefined;
  }

  add(item: Item): void {
    if (this.failure !== undefined) return;
    const bytes = Buffer.byteLength(item.text);
    this.queue.push({ item, bytes });
    this.queuedBytes += bytes;
    if (!this.isSending) void this.sendAll();
  }

  /** Resolves when there is room for more, or no use for it any longer. */
  async room(): Promise<void> {
    await this.until(() => this.queuedBytes < this.limits.queueBytesMax);
  }

  /** Resolves when everything added has been sent. @throws what `send` failed with. */
  async flushed(): Promise<void> {
    await this.until(() => this.queue.length === 0);
    if (this.failure !== undefined) throw this.failure;
  }

  private async until(isSo: () => boolean): Promise<void> {
    while (this.failure === undefined && !isSo()) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  private async sendAll(): Promise<void> {
    this.isSending = true;
    // What is added in this same turn shall go with the first batch.
    await Promise.resolve();
    while (this.queue.length > 0) {
      const batch = this.nextBatch();
      try {
        await this.send(batch.map(({ item }) => item));
      } catch (error) {
        this.failure = error instanceof Error ? error : new Error(String(error));
      }
      // Only now: what is in flight is in memory, and counts.
      const gone = this.failure === undefined ? batch.length : this.queue.length;
      for (const { bytes } of this.queue.splice(0, gone)) this.queuedBytes -= bytes;
      this.wake();
    }
    this.isSending = false;
  }

  private nextBatch(): { item: Item; bytes: number }[] {
    let bytes = 0;
    let count = 0;
    for (const entry of this.queue) {
      bytes += entry.bytes;
      if (count > 0 && bytes > this.limits.batchBytesMax) break;
      if (++count === this.limits.batchEventsMax) break;
    }
    return this.queue.slice(0, count);
  }

  private wake(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }
}
