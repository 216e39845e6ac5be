import type { Facts, Head, KeyVersion, LogId, Needs, ProducerWindow, SessionHeader } from "@daybook/core";
import { seqOfPair } from "@daybook/core";
import type { LiveLog } from "./live-log.js";
import { holderOf } from "./lineage.js";
import type { LogTable } from "./log-table.js";
import type { LogWriter } from "./log-writer.js";
import type { Reader } from "./reader.js";

/**
 * The facts a command needs. Nearly all are in memory or a look-up away; only the event that a retry became, and
 * a header that is not fresh, are read from disk. What was read stays true: events never change, and a header is
 * known by where it stands.
 */
export class LoadedFacts implements Facts {
  private log: LiveLog | undefined;
  /** The JSON of stored events by seq, read from disk … */
  private read: Map<number, string> | undefined;
  /** … and found in memory. Nearly every command needs none. */
  private inMemory: Map<number, string> | undefined;
  private readHeader: { readonly at: LiveLog["headerAt"]; readonly header: SessionHeader } | undefined;

  constructor(
    private readonly table: LogTable,
    private readonly reader: Reader,
    private readonly writer: LogWriter,
    private readonly needs: Needs,
  ) {}

  /**
   * Speaks of this log from now on, and loads what is missing; undefined when nothing is, so that the usual command
   * is decided in one go.
   */
  load(log: LiveLog | undefined): Promise<void> | undefined {
    this.log = log;
    if (log?.head === undefined || log.head.status === "deleted") return undefined;
    const seqs = this.missingEvents(log);
    const header =
      this.needs.header === true && log.header === undefined && this.readHeader?.at !== log.headerAt;
    if (seqs === undefined && !header) return undefined;
    return this.readAll(log, seqs ?? [], header);
  }

  producer(id: string): ProducerWindow | undefined {
    return this.log?.window(id);
  }

  seqOfKey(idempotencyKey: string): number | undefined {
    return this.log?.idempotency?.seqOf(idempotencyKey);
  }

  key(key: string): KeyVersion | undefined {
    return this.log?.key(key);
  }

  eventJson(seq: number): string {
    return this.read?.get(seq) ?? this.inMemory?.get(seq) ?? missing(`event ${seq}`);
  }

  header(): SessionHeader {
    return this.log?.header ?? this.readHeader?.header ?? missing("the header");
  }

  headOf(id: LogId): Head | undefined {
    return this.table.find(id)?.head;
  }

  /** All that a decision on these facts rests on. */
  logs(): (LiveLog | undefined)[] {
    return [this.log, ...(this.needs.others ?? []).map((id) => this.table.find(id))];
  }

  /** The stored events that the command names, by producer pair or by seq, and that have to be read from disk. */
  private missingEvents(log: LiveLog): number[] | undefined {
    const seqs: number[] = [];
    // Made anew at each try: what was not durable at the last one may have failed since, and the seq be another's.
    this.inMemory = undefined;
    if (this.needs.pairs !== undefined) {
      for (const { producerId, producerSeq } of this.needs.pairs) {
        const window = log.window(producerId);
        const seq = window === undefined ? undefined : seqOfPair(window, producerSeq);
        if (seq !== undefined && !this.isAtHand(log, seq)) seqs.push(seq);
      }
    }
    for (const key of this.needs.idempotencyKeys ?? NO_KEYS) {
      const seq = this.seqOfKey(key);
      if (seq !== undefined && !this.isAtHand(log, seq)) seqs.push(seq);
    }
    if (this.needs.seqs !== undefined) {
      for (const seq of this.needs.seqs) {
        if (seq <= (log.head?.lastSeq ?? 0) && !this.isAtHand(log, seq)) seqs.push(seq);
      }
    }
    return seqs.length === 0 ? undefined : seqs;
  }

  private isAtHand(log: LiveLog, seq: number): boolean {
    if (this.read?.has(seq) === true) return true;
    const holder = holderOf(log, seq, this.table);
    const json = holder.recentJson(seq) ?? this.writer.undurableJson(holder, seq);
    if (json === undefined) return false;
    this.inMemory ??= new Map<number, string>();
    this.inMemory.set(seq, json);
    return true;
  }

  private async readAll(log: LiveLog, seqs: readonly number[], header: boolean): Promise<void> {
    // Before anything is awaited: later it may be one that is not on disk yet.
    const at = log.headerAt;
    if (seqs.length > 0) this.read ??= new Map<number, string>();
    for (const seq of seqs) this.read?.set(seq, await this.reader.eventJson(log, seq));
    if (header && at !== undefined)
      this.readHeader = { at, header: await this.reader.headerAt(log.number, at) };
  }
}

const NO_KEYS: readonly string[] = [];

function missing(what: string): never {
  throw new Error(`broken invariant: ${what} was not among the facts that the command named`);
}
