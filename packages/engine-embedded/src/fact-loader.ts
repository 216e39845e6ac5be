import type { Facts, KeyVersion, Needs, ProducerWindow, SessionHeader } from "@daybook/core";
import { seqOfPair } from "@daybook/core";
import type { LiveLog } from "./live-log.js";
import type { LogWriter } from "./log-writer.js";
import type { Reader } from "./reader.js";

/**
 * Gets the facts a command needs. Nearly all are in memory or a look-up away; only the event that a retry became, and
 * a header that is not fresh, are read from disk. What was read stays true: events never change, and a header is
 * known by where it stands.
 */
export class FactLoader {
  /** Read from disk. */
  private readonly events = new Map<number, string>();
  private readonly inMemory = new Map<number, string>();
  private header: { readonly at: LiveLog["headerAt"]; readonly header: SessionHeader } | undefined;

  constructor(
    private readonly reader: Reader,
    private readonly writer: LogWriter,
    private readonly needs: Needs,
  ) {}

  /** Loads what is missing; undefined when nothing is, so that the usual command is decided in one go. */
  missing(log: LiveLog | undefined): Promise<void> | undefined {
    if (log?.head === undefined || log.head.status === "deleted") return undefined;
    const seqs = this.missingEvents(log);
    const header = this.needs.header === true && log.header === undefined && this.header?.at !== log.headerAt;
    if (seqs.length === 0 && !header) return undefined;
    return this.load(log, seqs, header);
  }

  facts(log: LiveLog | undefined): Facts {
    return {
      producer: (id): ProducerWindow | undefined => log?.window(id),
      key: (key): KeyVersion | undefined => log?.key(key),
      eventJson: (seq) => this.events.get(seq) ?? this.inMemory.get(seq) ?? missing(`event ${seq}`),
      header: () => log?.header ?? this.header?.header ?? missing("the header"),
    };
  }

  private missingEvents(log: LiveLog): number[] {
    const seqs: number[] = [];
    // Made anew at each try: what was not durable at the last one may have failed since, and the seq be another's.
    this.inMemory.clear();
    for (const seq of this.wantedSeqs(log)) {
      if (this.events.has(seq)) continue;
      const json = log.recentJson(seq) ?? this.writer.undurableJson(log, seq);
      if (json === undefined) seqs.push(seq);
      else this.inMemory.set(seq, json);
    }
    return seqs;
  }

  /** The stored events that the command names, by producer pair or by seq. */
  private *wantedSeqs(log: LiveLog): Generator<number> {
    for (const { producerId, producerSeq } of this.needs.pairs ?? []) {
      const window = log.window(producerId);
      const seq = window === undefined ? undefined : seqOfPair(window, producerSeq);
      if (seq !== undefined) yield seq;
    }
    for (const seq of this.needs.seqs ?? []) {
      if (seq <= (log.head?.lastSeq ?? 0)) yield seq;
    }
  }

  private async load(log: LiveLog, seqs: readonly number[], header: boolean): Promise<void> {
    // Before anything is awaited: later it may be one that is not on disk yet.
    const at = log.headerAt;
    for (const seq of seqs) this.events.set(seq, await this.reader.eventJson(log, seq));
    if (header && at !== undefined) this.header = { at, header: await this.reader.headerAt(log.number, at) };
  }
}

function missing(what: string): never {
  throw new Error(`broken invariant: ${what} was not among the facts that the command named`);
}
