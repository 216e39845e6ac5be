import type { Environment } from "./environment.js";
import { numbered, type OutgoingGroup } from "./outbox-queue.js";
import type { SafeStore } from "./safe-store.js";

/** An append as it stands in the store, under `PREFIX OUTBOX/NUMBER`. An outbox is `GENERATION.OWNER.CHANCE`. */
type Kept = Omit<OutgoingGroup, "text" | "bodies">;

/** Outboxes that began after this one are not known by themselves. */
const LOOK_MS = 30_000;

export interface OutboxKeeperOptions {
  readonly store: SafeStore;
  /** Of all outboxes that may send for each other: same server, session and actor. */
  readonly prefix: string;
  readonly environment: Environment;
  /** Takes what another outbox has left behind later on. */
  readonly adopt: (groups: readonly OutgoingGroup[]) => void;
}

/**
 * Keeps the appends of one outbox in the store, and takes over what outboxes before it have left there.
 *
 * An outbox holds a lock with its name for as long as it lives. Whoever gets the lock of another one has outlived it: he
 * moves what is left into his own, under the numbers it has. Should it have been sent after all, or be moved twice
 * because a move was cut off, the numbers keep it from being doubled.
 */
export class OutboxKeeper {
  private id = "";
  private count = 0;
  /** Where in the store an append stands. */
  private readonly places = new Map<string, string>();
  /** Outboxes whose lock is held or waited for. */
  private readonly known = new Set<string>();
  private readonly closing = new AbortController();
  private stopLooking = (): void => undefined;

  constructor(private readonly options: OutboxKeeperOptions) {}

  /**
   * Not before `open`: what is older would not be known as older.
   * @returns whether it is kept
   */
  keep(group: OutgoingGroup): Promise<boolean> {
    const { prefix, store } = this.options;
    const place = this.places.get(group.key) ?? `${prefix}${this.id}/${padded(++this.count)}`;
    this.places.set(group.key, place);
    const { text: _madeAnew, bodies, events: _asBodies, ...rest } = group;
    return store.set(place, `${JSON.stringify(rest).slice(0, -1)},"events":[${bodies.join(",")}]}`);
  }

  forget(key: string): void {
    const place = this.places.get(key);
    this.places.delete(key);
    if (place !== undefined) this.options.store.delete(place);
  }

  /** Begins an outbox. @returns what nobody sends any more, in order */
  async open(): Promise<readonly OutgoingGroup[]> {
    const { owner = "", newId } = this.options.environment;
    const others = await this.others();
    const generation = 1 + Math.max(0, ...others.map((id) => Number.parseInt(id, 10) || 0));
    this.id = `${padded(generation)}.${owner}.${newId()}`;
    this.known.add(this.id);
    const { signal } = this.closing;
    const closed = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    // Asked for before anything is kept under this name: nobody else can be first.
    void this.request(this.id, { signal }, () => closed);
    this.lookLater();
    return this.takeOver(others);
  }

  /** What has been left since. Outboxes that somebody holds are waited for. */
  async lookAgain(): Promise<void> {
    this.options.adopt(await this.takeOver(await this.others()));
  }

  close(): void {
    this.stopLooking();
    this.closing.abort();
  }

  private lookLater(): void {
    const look = (): void => void this.lookAgain().finally(() => this.lookLater());
    if (!this.closing.signal.aborted)
      this.stopLooking = this.options.environment.clock.after(LOOK_MS, look, true);
  }

  /** Other outboxes that this one may take over, the oldest first. */
  private async others(): Promise<readonly string[]> {
    const { store, prefix, environment } = this.options;
    const keys = await store.keys(prefix);
    const ids = new Set(keys.map((key) => key.slice(prefix.length).split("/")[0] ?? ""));
    const isMine = (id: string): boolean =>
      environment.owner === undefined || environment.owner === id.split(".")[1];
    return [...ids].filter((id) => !this.known.has(id) && isMine(id)).sort();
  }

  private async takeOver(ids: readonly string[]): Promise<readonly OutgoingGroup[]> {
    const groups: OutgoingGroup[] = [];
    for (const id of ids) {
      this.known.add(id);
      await this.request(id, { ifAvailable: true }, async (lock) => {
        if (lock === null) this.waitFor(id);
        else groups.push(...(await this.moveFrom(id)));
      });
    }
    return inProducerOrder(groups);
  }

  /** Somebody lives there. This is answered when he has gone. */
  private waitFor(id: string): void {
    void this.request(id, { signal: this.closing.signal }, async () => {
      this.options.adopt(inProducerOrder(await this.moveFrom(id)));
    });
  }

  private async moveFrom(id: string): Promise<readonly OutgoingGroup[]> {
    const { store, prefix } = this.options;
    const groups: OutgoingGroup[] = [];
    for (const key of [...(await store.keys(`${prefix}${id}/`))].sort()) {
      const kept = readKept(await store.get(key));
      if (this.closing.signal.aborted) break;
      const group = kept && numbered(kept);
      if (group !== undefined) groups.push(group);
      // Where there is no room for it a second time it stays where it is.
      if (group !== undefined && !(await this.keep(group))) this.places.set(group.key, key);
      else store.delete(key);
    }
    return groups;
  }

  private async request(
    id: string,
    options: { readonly ifAvailable?: boolean; readonly signal?: AbortSignal },
    held: (lock: unknown) => Promise<void> | void,
  ): Promise<void> {
    try {
      await this.options.environment.locks.request(this.options.prefix + id, options, async (lock) =>
        held(lock),
      );
    } catch {
      // Closed while it waited.
    }
  }
}

/** A move that was cut off leaves a producer's appends in two outboxes, and one of them in both. */
function inProducerOrder(groups: readonly OutgoingGroup[]): readonly OutgoingGroup[] {
  const byProducer = new Map<string, Map<number, OutgoingGroup>>();
  for (const group of groups) {
    const own = byProducer.get(group.producerId) ?? new Map<number, OutgoingGroup>();
    byProducer.set(group.producerId, own.set(group.producerSeq, group));
  }
  return [...byProducer.values()].flatMap((own) =>
    [...own.values()].sort((a, b) => a.producerSeq - b.producerSeq),
  );
}

function readKept(text: string | undefined): Kept | undefined {
  try {
    const kept = JSON.parse(text ?? "") as Partial<Kept>;
    const isWhole =
      typeof kept.key === "string" &&
      typeof kept.producerId === "string" &&
      typeof kept.producerSeq === "number" &&
      Array.isArray(kept.events);
    return isWhole ? (kept as Kept) : undefined;
  } catch {
    // Cut off, or written by something else: it can never be sent.
    return undefined;
  }
}

/** Sorts as text the way it does as a number. */
function padded(count: number): string {
  return String(count).padStart(10, "0");
}
