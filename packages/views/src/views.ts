import { type KeyVersion, LogId, type ProducerWindow } from "@daybook/core";
import type { RootDatabase } from "lmdb";
import type { IndexRun, PackedPositions } from "./frame-position.js";
import type { RememberedKey } from "./idempotency-keys.js";
import type { MessageChunk } from "./message-index.js";
import type { LogRecords } from "./open-log.js";
import {
  decodeHeadRecord,
  decodeRememberedKey,
  decodeKeyVersion,
  decodeVersion,
  decodeWindow,
  encodeHeadRecord,
  erasingKey,
  FORMAT,
  headKey,
  type HeadRecord,
  type Key,
  keyDigestKey,
  messagesKey,
  metaKey,
  producerKey,
  sessionKey,
  type Stand,
  stateKey,
} from "./records.js";
import type { Change, Flush } from "./flush.js";
import { inSlices } from "./in-slices.js";
import { closeEnvironment, compacted, dataSize, emptied, openEnvironment } from "./environment.js";
import { BOOT, type Sidecar, updateSidecar, writeSidecar } from "./sidecar.js";

/** The views of a log in one LMDB environment. Only ever of what is synced; thrown away and rebuilt when in doubt. */
export class Views implements LogRecords {
  /** How far these views stand; undefined for empty ones. */
  stand: Stand | undefined;
  private trusted = true;

  private constructor(
    private readonly folder: string,
    private database: RootDatabase<unknown, Key>,
    private readonly format: string,
    private proven: Stand | null,
  ) {
    this.stand = database.get(metaKey("stand")) as Stand | undefined;
  }

  /** So far the log was durable, by these views or by those that had to be thrown away. */
  get provenStand(): Stand | undefined {
    return this.stand ?? this.proven ?? undefined;
  }

  /** Opens the folder's views; damaged, foreign or missing ones are replaced by empty ones. */
  static async open(
    folder: string,
    storeId: string,
    log: (message: string) => void = () => undefined,
  ): Promise<Views> {
    const format = `${FORMAT}:${storeId}`;
    const { database, proven } = await openEnvironment(folder, format, log);
    return new Views(folder, database, format, proven);
  }

  /** Whether there are views in a folder, whatever they are worth. */
  static exist(folder: string): boolean {
    return dataSize(folder) !== undefined;
  }

  numberOf(id: LogId): number | undefined {
    return this.database.get(sessionKey(id)) as number | undefined;
  }

  record(log: number): HeadRecord | undefined {
    const value = this.database.get(headKey(log));
    return value === undefined
      ? undefined
      : decodeHeadRecord(value as never, (tenant, id) => new LogId(tenant, id));
  }

  window(log: number, producerId: string): ProducerWindow | undefined {
    const value = this.database.get(producerKey(log, producerId));
    return value === undefined ? undefined : decodeWindow(value as never);
  }

  *windows(log: number): Iterable<readonly [string, ProducerWindow]> {
    for (const { key, value } of this.within(["p", log]))
      yield [key[2] as string, decodeWindow(value as never)];
  }

  key(log: number, key: string): KeyVersion | undefined {
    const value = this.database.get(stateKey(log, key));
    return value === undefined ? undefined : decodeKeyVersion(value as never);
  }

  versionAt(log: number, key: string, seq: number): KeyVersion | undefined {
    const range = { start: ["v", log, key, seq, Infinity], end: ["v", log, key], reverse: true, limit: 1 };
    for (const { key: found, value } of this.database.getRange(range))
      return decodeVersion(found, value as number);
    return undefined;
  }

  *versionsFrom(log: number, key: string, seq: number): Iterable<KeyVersion> {
    for (const { key: found, value } of this.within(["v", log, key], { from: ["v", log, key, seq] }))
      yield decodeVersion(found, value as number);
  }

  rememberedKey(log: number, digest: string): RememberedKey | undefined {
    const value = this.database.get(keyDigestKey(log, digest));
    return value === undefined ? undefined : decodeRememberedKey(digest, value as never);
  }

  messageChunk(log: number, ordinal: number): MessageChunk | undefined {
    const [found] = this.database.getRange({
      start: messagesKey(log, ordinal),
      end: ["o", log],
      reverse: true,
      limit: 1,
    });
    return found === undefined
      ? undefined
      : { ordinal: found.key[2] as number, runs: found.value as readonly number[] };
  }

  /** Finished index runs in order, from the one that holds `seq` on. */
  *runs(log: number, seq: number): Iterable<IndexRun> {
    const [floor] = this.database.getKeys({
      start: ["f", log, seq, Infinity],
      end: ["f", log],
      reverse: true,
      limit: 1,
    });
    const start: Key = floor ?? ["f", log];
    for (const { key, value } of this.database.getRange({ start, end: ["f", log, Infinity] })) {
      yield { nextSeq: key[2] as number, ordinal: key[3] as number, positions: value as PackedPositions };
    }
  }

  /** Logs whose erasure was begun and not finished. */
  erasing(): number[] {
    return [...this.within(["z"])].map(({ key }) => key[1] as number);
  }

  /** All records under a key prefix, in order; behind a key, or from one on. */
  within(
    prefix: Key,
    options: { after?: Key; from?: Key; reverse?: boolean } = {},
  ): Iterable<{ key: Key; value: unknown }> {
    const first: Key = prefix;
    // The key type names what keys hold; a bound may also be the byte that sorts last.
    const last = [...prefix, HIGHEST] as Key;
    if (options.reverse === true) {
      return this.database.getRange({
        start: options.after ?? last,
        end: first,
        reverse: true,
        exclusiveStart: true,
      });
    }
    return this.database.getRange({
      start: options.after ?? options.from ?? first,
      end: last,
      exclusiveStart: options.after !== undefined,
    });
  }

  countSessions(): { sessions: number; erased: number } {
    const count = { sessions: 0, erased: 0 };
    for (const { value } of this.within(["h"])) {
      const { id, head } = decodeHeadRecord(value as never, (tenant, name) => new LogId(tenant, name));
      if (!id.isSession) continue;
      if (head.status === "deleted") count.erased++;
      else count.sessions++;
    }
    return count;
  }

  get(key: Key): unknown {
    return this.database.get(key);
  }

  /**
   * Writes a flush in one transaction, a slice at a time: appends go on in between. Resolves with the number of
   * records when readers of this process see it.
   */
  async write(flush: Flush, stand: Stand, isUrgent?: () => boolean): Promise<number> {
    let records = 0;
    await this.database.transaction(async () => {
      const changes = flush.changes((wanted) => this.database.get(wanted));
      const put = ([key, value]: Change): void => {
        if (value === undefined) void this.database.remove(key);
        else void this.database.put(key, value);
        records++;
      };
      await inSlices(changes, put, isUrgent);
      void this.database.put(metaKey("stand"), stand);
    });
    this.database.resetReadTxn();
    this.stand = stand;
    await updateSidecar(this.folder, this.sidecar("open"));
    return records;
  }

  /** These views said something that the log does not: the next start rebuilds them. */
  distrust(): void {
    this.trusted = false;
    writeSidecar(this.folder, this.sidecar("open"));
  }

  private sidecar(state: "open" | "closed"): Sidecar {
    return {
      size: dataSize(this.folder) ?? 0,
      state: this.trusted ? state : "wrong",
      boot: BOOT,
      stand: this.provenStand ?? null,
    };
  }

  /** Says that these views are whole. Until then a crash while they are built makes them start again from nothing. */
  async confirm(): Promise<void> {
    await this.database.put(metaKey("format"), this.format);
  }

  /** Drops all that is left of an erased log but its name, and asks for a compacting copy at the next start. */
  async forget(log: number): Promise<void> {
    const record = this.record(log);
    for (const kind of ["f", "p", "k", "v", "a", "o", "q", "r"]) await this.removeWithin([kind, log]);
    void this.database.put(metaKey("compact"), true);
    if (record !== undefined) void this.database.put(headKey(log), forgottenHead(record));
    await this.database.remove(erasingKey(log));
    this.database.resetReadTxn();
  }

  /** Removes all records under a key prefix, a few at a time: millions of them must not hold up the appends of others. */
  private async removeWithin(prefix: Key): Promise<void> {
    const range = { start: prefix, end: [...prefix, HIGHEST] as Key, limit: FORGET_AT_ONCE };
    for (;;) {
      const keys = [...this.database.getKeys(range)];
      if (keys.length === 0) return;
      await Promise.all(keys.map((key) => this.database.remove(key)));
      this.database.resetReadTxn();
    }
  }

  /** Was this log erased, and every byte of it zeroed? */
  isErased(log: number): boolean {
    return this.record(log)?.head.status === "deleted" && this.database.get(erasingKey(log)) === undefined;
  }

  /** Throws everything away: the log will be folded from its beginning. */
  async startOver(): Promise<void> {
    this.proven = this.provenStand ?? null;
    this.stand = undefined;
    this.database = await emptied(this.folder, this.database);
    writeSidecar(this.folder, this.sidecar("open"));
  }

  /** Rids the file of free pages, which may hold text of what was forgotten. Nobody may use the views meanwhile. */
  async compact(): Promise<void> {
    this.database = await compacted(this.folder, this.database);
    writeSidecar(this.folder, this.sidecar("open"));
  }

  async close(): Promise<void> {
    await closeEnvironment(this.folder, this.database);
    writeSidecar(this.folder, this.sidecar("closed"));
  }
}

const FORGET_AT_ONCE = 200;

/** Sorts after every string and number: nothing that a key encoding produces is higher. */
const HIGHEST = Buffer.from([0xff]);

function forgottenHead({ id, head }: HeadRecord): unknown {
  const openRun = { nextSeq: 1, ordinal: 0, positions: [] };
  return encodeHeadRecord({
    id,
    head,
    pairs: 0,
    headerAt: undefined,
    openRun,
    lastEventMs: 0,
    messages: undefined,
    idempotencyKeys: 0,
  });
}
