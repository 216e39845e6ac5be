import { compareKeys, type KeyVersion, type LogId, operationsIn, type StoredOperation } from "@daybook/core";
import type { ReadLimits, StateEntry, StatePage, StateQuery, StoredEvent } from "@daybook/engine";
import { decodeKeyVersion, ownerKey, stateKey, type Views } from "@daybook/views";
import { lineageOf, type Stretch } from "./lineage.js";
import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import type { Reader } from "./reader.js";
import { notFound } from "./refusals.js";
import { type EventValues, ValueCache } from "./value-cache.js";
import type { ViewWriter } from "./view-writer.js";

/** A page of values ends once it holds this much. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

/** Keys looked at in one turn … */
const KEYS_AT_ONCE = 500;
/** … and bytes of events, before others have theirs. */
const TURN_BYTES_MAX = 512 * 1024;

/** Of events that single keys were read from. */
const CACHED_BYTES_MAX = 16 * 1024 * 1024;

type Found = KeyVersion & { readonly key: string };

/**
 * Reads a log's state as of any seq. The views say which event made which version of a key; the value is in that
 * event. Nothing is folded, so an old seq costs what a new one does.
 */
export class StateReader {
  private readonly lately = new ValueCache(CACHED_BYTES_MAX);

  constructor(
    private readonly views: Views,
    private readonly table: LogTable,
    private readonly viewWriter: ViewWriter,
    private readonly reader: Reader,
  ) {}

  async page(id: LogId, query: StateQuery): Promise<StatePage> {
    const { log, atSeq } = this.openAt(id, query.atSeq);
    await this.viewWriter.caughtUp();
    const found = await this.existing(log, query, atSeq);
    const wanted = found.slice(0, query.limit);
    const entries = query.keysOnly === true ? wanted : await this.filled(log, wanted);
    const next = entries.length < found.length ? entries.at(-1)?.key : undefined;
    return next === undefined ? { entries, atSeq } : { entries, atSeq, next };
  }

  /** One key as of a seq, or one version of it; tombstones too. */
  async key(
    id: LogId,
    key: string,
    at: { atSeq?: number; version?: number },
  ): Promise<StateEntry | undefined> {
    const { log, atSeq } = this.openAt(id, at.atSeq);
    const version = at.version === undefined ? log.keyAt(key, atSeq) : log.keyVersion(key, at.version);
    if (version === undefined || version.seq > atSeq) return undefined;
    const found = { key, ...version };
    const known = found.deleted ? undefined : this.lately.get(log.number, found.seq);
    if (known !== undefined) return { ...found, value: valueOf(found, known) };
    return (await this.filled(log, [found]))[0];
  }

  /** Versions of a key, oldest first. */
  async history(id: LogId, key: string, page: { after: number; limit: number }): Promise<StateEntry[]> {
    const { log, atSeq } = this.openAt(id, undefined);
    return this.filled(log, take(versionsAfter(log, key, page.after, atSeq), page.limit));
  }

  /** Commits that changed keys of an owner. */
  async commitsOf(
    id: LogId,
    owner: string,
    { after, through }: { after: number; through: number },
    { eventsMax, bytesMax }: ReadLimits,
  ): Promise<StoredEvent[]> {
    const { log, atSeq } = this.openAt(id, through);
    await this.viewWriter.caughtUp();
    const seqs: number[] = [];
    for (const { key } of this.views.within(["a", log.number, owner], {
      after: ownerKey(log.number, owner, after),
    })) {
      const seq = key[3] as number;
      if (seq > atSeq || seqs.length === eventsMax) break;
      seqs.push(seq);
    }
    const events: StoredEvent[] = [];
    let bytes = 0;
    for await (const some of this.reader.eventsAt(log, seqs)) {
      for (const event of some) {
        bytes += event.bytes.length;
        if (events.length > 0 && bytes > bytesMax) return events;
        events.push(event);
      }
    }
    return events;
  }

  /** What is acknowledged from here on is no part of this read: every page of it stands at one seq. */
  private openAt(id: LogId, atSeq: number | undefined): { log: LiveLog; atSeq: number } {
    const log = this.table.find(id);
    const head = log?.durableHead;
    if (log === undefined || head === undefined || head.status === "deleted") throw notFound();
    return { log, atSeq: Math.min(atSeq ?? head.lastSeq, head.lastSeq) };
  }

  /** The keys that exist at a seq, in order: as many as were asked for, and one more if there is. */
  private async existing(log: LiveLog, query: StateQuery, atSeq: number): Promise<Found[]> {
    const found: Found[] = [];
    const atOnce = Math.min(KEYS_AT_ONCE, query.limit + 1);
    for (let { after } = query; ;) {
      const walked = take(this.walked(log, { ...query, after }, atSeq), atOnce);
      for (const { key, newest, untilSeq } of walked) {
        const version = newest.seq <= untilSeq ? newest : log.keyAt(key, atSeq);
        if (version !== undefined && !version.deleted) found.push({ key, ...version });
      }
      if (walked.length < atOnce || found.length > query.limit) return found.slice(0, query.limit + 1);
      after = walked.at(-1)?.key;
      // Any number of keys may have come or gone since then: passing over them must not hold up others.
      await othersTurn();
    }
  }

  /** All keys of a session that were ever set, in order. */
  private *walked(
    log: LiveLog,
    { prefix = "", after }: { readonly prefix?: string; readonly after: string | undefined },
    atSeq: number,
  ): Generator<WalkedKey> {
    const from = after !== undefined && after > prefix ? after : prefix;
    const walks = lineageOf(log, atSeq, this.table).map((stretch) => this.walk(stretch, from));
    for (const walked of mergedByKey(walks)) {
      if (walked.key === after) continue;
      if (!walked.key.startsWith(prefix)) return;
      yield walked;
    }
  }

  /** Keys that one log of a lineage ever set, with their newest versions there. */
  private *walk({ log, untilSeq }: Stretch, from: string): Generator<WalkedKey> {
    const keys = this.views.within(["k", log.number], { from: stateKey(log.number, from) });
    for (const { key, value } of keys)
      yield { key: key[2] as string, newest: decodeKeyVersion(value as never), untilSeq };
  }

  /**
   * Adds what these versions were set to; only the first ones, if all would be too large. Their events are read in the
   * order of the log, each once.
   */
  private async filled(log: LiveLog, found: readonly Found[]): Promise<StateEntry[]> {
    const bySeq = new Map<number, number[]>();
    for (const [index, { seq, deleted }] of found.entries()) {
      if (deleted) continue;
      const sharers = bySeq.get(seq);
      if (sharers === undefined) bySeq.set(seq, [index]);
      else sharers.push(index);
    }
    const page = new ValuePage(found);
    let turnBytes = 0;
    for await (const events of this.reader.eventsAt(log, [...bySeq.keys()].sort(ascending))) {
      for (const event of events) {
        turnBytes += event.bytes.length;
        if (turnBytes > TURN_BYTES_MAX) {
          turnBytes = 0;
          await othersTurn();
        }
        const values = valuesIn(event);
        page.fill(event, values, bySeq.get(event.seq) ?? []);
        if (found.length === 1) this.lately.keep(log.number, event.seq, values, event.bytes.length);
      }
    }
    return page.entries;
  }
}

/** Entries that get their values in any order; those at the end are let go if all would be too large. */
class ValuePage {
  readonly entries: StateEntry[];
  private bytes = 0;

  constructor(found: readonly Found[]) {
    this.entries = [...found];
  }

  /** Gives the entries at these places the values that an event set. */
  fill(event: StoredEvent, values: EventValues, places: readonly number[]): void {
    for (const place of places) {
      const entry = this.entries[place];
      // Let go of already, for want of room.
      if (entry === undefined) continue;
      const value = valueOf(entry, values);
      this.entries[place] = { ...entry, value: ownText(value, event) };
      this.bytes += value.length;
    }
    while (this.bytes > PAGE_BYTES_MAX && this.entries.length > 1)
      this.bytes -= this.entries.pop()?.value?.length ?? 0;
  }
}

/** What a version was set to by its event. */
function valueOf({ key, version: wanted, seq }: Found, values: EventValues): string {
  const value = values.get(key)?.find(({ version = wanted }) => version === wanted)?.value;
  if (value === undefined)
    throw new Error(`broken invariant: event ${seq} does not set the key it is said to set`);
  return value;
}

/** A slice keeps all of the text in memory that it was cut from. */
const ownText = (value: string, { bytes }: StoredEvent): string =>
  value.length * 4 < bytes.length ? Buffer.from(value).toString() : value;

interface WalkedKey {
  readonly key: string;
  readonly newest: KeyVersion;
  readonly untilSeq: number;
}

/** Merges walks in the order of their keys; of a key that several have, what the last of them has. */
function* mergedByKey(walks: readonly Generator<WalkedKey>[]): Generator<WalkedKey> {
  const [only] = walks;
  if (walks.length === 1 && only !== undefined) {
    yield* only;
    return;
  }
  const heads = walks.map((walk) => ({ walk, next: walk.next() }));
  for (;;) {
    let first: WalkedKey | undefined;
    for (const { next } of heads) {
      if (next.done === true) continue;
      if (first === undefined || compareKeys(next.value.key, first.key) <= 0) first = next.value;
    }
    if (first === undefined) return;
    yield first;
    for (const head of heads) {
      if (head.next.done !== true && head.next.value.key === first.key) head.next = head.walk.next();
    }
  }
}

function* versionsAfter(log: LiveLog, key: string, after: number, atSeq: number): Generator<Found> {
  for (const version of log.keyVersionsAfter(key, after)) {
    if (version.seq > atSeq) return;
    yield { key, ...version };
  }
}

const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function take<Item>(found: Iterable<Item>, count: number): Item[] {
  const taken: Item[] = [];
  for (const one of found) {
    if (taken.length === count) break;
    taken.push(one);
  }
  return taken;
}

const ascending = (one: number, other: number): number => one - other;

/** What an event set, by key. */
function valuesIn(event: StoredEvent): EventValues {
  const byKey = new Map<string, StoredOperation[]>();
  for (const operation of operationsIn(event.bytes.toString("utf8"))) {
    const known = byKey.get(operation.key);
    if (known === undefined) byKey.set(operation.key, [operation]);
    else known.push(operation);
  }
  return byKey;
}
