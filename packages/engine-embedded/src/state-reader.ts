import {
  decodeEvent,
  type KeyVersion,
  type LogId,
  type StoredOperation,
  storedOperations,
} from "@daybook/core";
import type { StateEntry, StatePage, StateQuery, StoredEvent } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import { decodeKeyVersion, type Key, ownerKey, stateKey, versionKey, type Views } from "@daybook/views";
import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import type { Reader } from "./reader.js";
import type { ViewWriter } from "./view-writer.js";

/** A page of values ends once it holds this much. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

type Found = KeyVersion & { readonly key: string };

/**
 * Reads a log's state as of any seq. The views say which event made which version of a key; the value is in that
 * event. Nothing is folded, so an old seq costs what a new one does.
 */
export class StateReader {
  constructor(
    private readonly views: Views,
    private readonly table: LogTable,
    private readonly viewWriter: ViewWriter,
    private readonly reader: Reader,
  ) {}

  async page(id: LogId, query: StateQuery): Promise<StatePage> {
    const { log, atSeq } = await this.openAt(id, query.atSeq);
    const found = take(this.existing(log.number, query, atSeq), query.limit + 1);
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
    const { log, atSeq } = await this.openAt(id, at.atSeq);
    const newest = this.views.key(log.number, key);
    if (newest === undefined) return undefined;
    const version =
      at.version === undefined
        ? this.versionAt(log.number, key, newest, atSeq)
        : this.version(log.number, key, at.version);
    if (version === undefined || version.seq > atSeq) return undefined;
    return (await this.filled(log, [{ key, ...version }]))[0];
  }

  /** Versions of a key, oldest first. */
  async history(id: LogId, key: string, page: { after: number; limit: number }): Promise<StateEntry[]> {
    const { log, atSeq } = await this.openAt(id, undefined);
    return this.filled(log, take(this.versionsAfter(log.number, key, page.after, atSeq), page.limit));
  }

  /** Seqs of commits that changed keys of an owner. */
  async commitsOf(
    id: LogId,
    owner: string,
    page: { after: number; through: number; limit: number },
  ): Promise<number[]> {
    const { log, atSeq } = await this.openAt(id, page.through);
    const seqs: number[] = [];
    const prefix: Key = ["a", log.number, owner];
    for (const { key } of this.views.within(prefix, { after: ownerKey(log.number, owner, page.after) })) {
      const seq = key[3] as number;
      if (seq > atSeq || seqs.length === page.limit) break;
      seqs.push(seq);
    }
    return seqs;
  }

  private async openAt(id: LogId, atSeq: number | undefined): Promise<{ log: LiveLog; atSeq: number }> {
    const log = this.table.find(id);
    const head = log?.durableHead;
    if (log === undefined || head === undefined || head.status === "deleted") throw notFound();
    await this.viewWriter.caughtUp();
    // What is acknowledged from here on is not part of this read: every page of it stands at one seq.
    return { log, atSeq: Math.min(atSeq ?? head.lastSeq, head.lastSeq) };
  }

  /** The keys that exist at a seq, in order. */
  private *existing(log: number, query: StateQuery, atSeq: number): Generator<Found> {
    const { prefix = "", after } = query;
    const start: Key = stateKey(log, after !== undefined && after > prefix ? after : prefix);
    for (const { key, value } of this.views.within(["k", log], { from: start })) {
      const name = key[2] as string;
      if (name === after) continue;
      if (!name.startsWith(prefix)) return;
      const version = this.versionAt(log, name, decodeKeyVersion(value as never), atSeq);
      if (version !== undefined && !version.deleted) yield { key: name, ...version };
    }
  }

  private *versionsAfter(log: number, key: string, after: number, atSeq: number): Generator<Found> {
    for (let number = after + 1; ; number++) {
      const version = this.version(log, key, number);
      if (version === undefined || version.seq > atSeq) return;
      yield { key, ...version };
    }
  }

  /** The newest version of a key at a seq: by halving, since versions are numbered without gaps. */
  private versionAt(log: number, key: string, newest: KeyVersion, atSeq: number): KeyVersion | undefined {
    if (newest.seq <= atSeq) return newest;
    let [low, high] = [0, newest.version - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.version(log, key, middle)?.seq ?? Infinity) <= atSeq) low = middle;
      else high = middle - 1;
    }
    return low === 0 ? undefined : this.version(log, key, low);
  }

  private version(log: number, key: string, version: number): KeyVersion | undefined {
    const value = this.views.get(versionKey(log, key, version)) as [seq: number, deleted: number] | undefined;
    return value === undefined ? undefined : { version, seq: value[0], deleted: value[1] === 1 };
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
    const entries: StateEntry[] = [...found];
    let bytes = 0;
    for await (const event of this.reader.eventsAt(log, [...bySeq.keys()].sort(ascending))) {
      const set = valuesIn(event);
      for (const index of bySeq.get(event.seq) ?? []) {
        const entry = entries[index];
        // Let go of already, for want of room.
        if (entry === undefined) continue;
        const value = set
          .get(entry.key)
          ?.find(({ version = entry.version }) => version === entry.version)?.value;
        if (value === undefined)
          throw new Error(`broken invariant: event ${event.seq} does not set the key it is said to set`);
        entries[index] = { ...entry, value };
        bytes += value.length;
      }
      while (bytes > PAGE_BYTES_MAX && entries.length > 1) bytes -= entries.pop()?.value?.length ?? 0;
    }
    return entries;
  }
}

function take(found: Iterable<Found>, count: number): Found[] {
  const taken: Found[] = [];
  for (const one of found) {
    if (taken.length === count) break;
    taken.push(one);
  }
  return taken;
}

const ascending = (one: number, other: number): number => one - other;

/** What an event set, by key. */
function valuesIn(event: StoredEvent): Map<string, StoredOperation[]> {
  const { state } = decodeEvent(event.bytes.toString("utf8"));
  const byKey = new Map<string, StoredOperation[]>();
  for (const operation of state === undefined ? [] : storedOperations(state)) {
    const known = byKey.get(operation.key);
    if (known === undefined) byKey.set(operation.key, [operation]);
    else known.push(operation);
  }
  return byKey;
}

function notFound(): DaybookError {
  return new DaybookError(
    "session_not_found",
    "There is no session with this id. Create it with POST /v1/sessions.",
  );
}
