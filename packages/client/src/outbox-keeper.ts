import type { Environment } from "./environment.js";
import { numbered, type OutgoingGroup } from "./outbox-queue.js";
import type { SafeStore } from "./safe-store.js";

/** An append as it stands in the store, under `PREFIX OUTBOX/NUMBER`. */
type Kept = Omit<OutgoingGroup, "text" | "key">;

export interface OutboxKeeperOptions {
  readonly store: SafeStore;
  /** Of all outboxes that may send for each other: same server, session and actor. */
  readonly prefix: string;
  /** Of this outbox. */
  readonly id: string;
  readonly environment: Environment;
  /** Takes what another outbox left behind, in order. */
  readonly adopt: (groups: readonly OutgoingGroup[]) => void;
}

/**
 * Keeps the appends of one outbox in the store, and finds what outboxes before it have left there.
 *
 * An outbox holds a lock with its name for as long as it lives. Whoever gets the lock of another one has outlived it,
 * and sends what is left, under the numbers it has: should it have arrived after all, it is not doubled.
 */
export class OutboxKeeper {
  private count = 0;
  /** Outboxes whose lock is held or waited for. */
  private readonly known = new Set<string>();
  /** What was adopted and is not sent yet, by key. */
  private readonly adopted = new Map<string, () => void>();
  private readonly closing = new AbortController();
  private readonly closed: Promise<void>;

  constructor(private readonly options: OutboxKeeperOptions) {
    this.closed = new Promise((resolve) => this.closing.signal.addEventListener("abort", () => resolve()));
    this.known.add(options.id);
    // Asked for before anything is kept under this name: nobody else can be first.
    void this.request(options.id, { signal: this.closing.signal }, () => this.closed);
  }

  newKey(): string {
    return `${this.options.prefix}${this.options.id}/${String(++this.count).padStart(12, "0")}`;
  }

  keep({ key, producerId, producerSeq, events, expectedSeq }: OutgoingGroup): void {
    const kept: Kept = { producerId, producerSeq, events, ...(expectedSeq !== undefined && { expectedSeq }) };
    this.options.store.set(key, JSON.stringify(kept));
  }

  forget(key: string): void {
    this.options.store.delete(key);
    this.adopted.get(key)?.();
    this.adopted.delete(key);
  }

  /** Takes over the outboxes that nobody holds any more, and waits for those that somebody holds. */
  async adoptOthers(): Promise<void> {
    const { store, prefix, environment } = this.options;
    const keys = await store.keys(prefix);
    const ids = new Set(keys.map((key) => key.slice(prefix.length).split("/")[0] ?? ""));
    const others = [...ids].filter((id) => !this.known.has(id) && environment.mayAdopt(id)).sort();
    for (const id of others) {
      this.known.add(id);
      await this.adoptIfFree(id);
    }
  }

  close(): void {
    this.closing.abort();
  }

  /** Resolves when its appends are in the queue, or somebody else is found to live there. */
  private async adoptIfFree(id: string): Promise<void> {
    let resolveDone: () => void = () => undefined;
    const done = new Promise<void>((resolve) => (resolveDone = resolve));
    const request = this.request(id, { ifAvailable: true }, async (lock) => {
      if (lock !== null) await this.adopt(id, resolveDone);
      else {
        // Answered when whoever holds it has gone.
        void this.request(id, { signal: this.closing.signal }, () => this.adopt(id, () => undefined));
      }
    });
    await Promise.race([done, request]);
  }

  /** Adopts what is there. Resolves when all of it has been sent, or this is closed. */
  private async adopt(id: string, done: () => void): Promise<void> {
    const { store, prefix } = this.options;
    const keys = [...(await store.keys(`${prefix}${id}/`))].sort();
    const groups: OutgoingGroup[] = [];
    for (const key of keys) {
      const kept = readKept(await store.get(key));
      if (kept === undefined) store.delete(key);
      else groups.push(numbered({ ...kept, key }));
    }
    const sent = groups.map(({ key }) => new Promise<void>((resolve) => this.adopted.set(key, resolve)));
    if (this.closing.signal.aborted) return;
    this.options.adopt(groups);
    done();
    await Promise.race([Promise.all(sent), this.closed]);
  }

  private async request(
    id: string,
    options: { readonly ifAvailable?: boolean; readonly signal?: AbortSignal },
    held: (lock: unknown) => Promise<void>,
  ): Promise<void> {
    try {
      await this.options.environment.locks.request(this.options.prefix + id, options, held);
    } catch {
      // Closed while it waited.
    }
  }
}

function readKept(text: string | undefined): Kept | undefined {
  try {
    const kept = JSON.parse(text ?? "") as Partial<Kept>;
    const isWhole =
      typeof kept.producerId === "string" &&
      typeof kept.producerSeq === "number" &&
      Array.isArray(kept.events);
    return isWhole ? (kept as Kept) : undefined;
  } catch {
    // Cut off, or written by something else: it can never be sent.
    return undefined;
  }
}
