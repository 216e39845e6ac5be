import { decodeEvent, type KeyVersion, type LogId } from "@daybook/core";
import type { StateEntry, StatePage, StateQuery } from "@daybook/engine";
import { DaybookError, type JsonShape, parseJson, type RawJson } from "@daybook/protocol";
import { type Key, stateKey, versionKey, type Views } from "@daybook/views";
import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import type { Reader } from "./reader.js";
import type { ViewWriter } from "./view-writer.js";

/** A page of values ends once it holds this much. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
const STATE: JsonShape = { members: { set: { values: "raw" } } };
/** Deeper than anything that was let in. */
const DEPTH = { depthMax: 1000 };

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
    const entries: StateEntry[] = [];
    let bytes = 0;
    for (const { key, newest } of this.keys(log.number, query)) {
      const version = this.versionAt(log.number, key, newest, atSeq);
      if (version === undefined || version.deleted) continue;
      if (entries.length === query.limit || bytes > PAGE_BYTES_MAX) {
        const last = entries.at(-1)?.key;
        return last === undefined ? { entries, atSeq } : { entries, atSeq, next: last };
      }
      const entry = await this.entry(log, key, version);
      bytes += entry.value?.length ?? 0;
      entries.push(entry);
    }
    return { entries, atSeq };
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
    return version === undefined || version.seq > atSeq ? undefined : this.entry(log, key, version);
  }

  /** Versions of a key, oldest first. */
  async history(id: LogId, key: string, page: { after: number; limit: number }): Promise<StateEntry[]> {
    const { log, atSeq } = await this.openAt(id, undefined);
    const entries: StateEntry[] = [];
    let bytes = 0;
    for (let number = page.after + 1; entries.length < page.limit && bytes <= PAGE_BYTES_MAX; number++) {
      const version = this.version(log.number, key, number);
      if (version === undefined || version.seq > atSeq) break;
      const entry = await this.entry(log, key, version);
      bytes += entry.value?.length ?? 0;
      entries.push(entry);
    }
    return entries;
  }

  private async openAt(id: LogId, atSeq: number | undefined): Promise<{ log: LiveLog; atSeq: number }> {
    const log = this.table.find(id);
    const head = log?.durableHead;
    if (log === undefined || head === undefined || head.status === "deleted") throw notFound();
    await this.viewWriter.caughtUp();
    // What is acknowledged from here on is not part of this read: every page of it stands at one seq.
    return { log, atSeq: Math.min(atSeq ?? head.lastSeq, head.lastSeq) };
  }

  private *keys(
    log: number,
    { prefix = "", after }: StateQuery,
  ): Generator<{ key: string; newest: KeyVersion }> {
    const start: Key = stateKey(log, after !== undefined && after > prefix ? after : prefix);
    for (const { key } of this.views.within(["k", log], { from: start })) {
      const name = key[2] as string;
      if (name === after) continue;
      if (!name.startsWith(prefix)) return;
      const newest = this.views.key(log, name);
      if (newest !== undefined) yield { key: name, newest };
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

  private async entry(log: LiveLog, key: string, { version, seq, deleted }: KeyVersion): Promise<StateEntry> {
    if (deleted) return { key, version, seq, deleted };
    const { state } = decodeEvent(await this.reader.eventJson(log, seq));
    const set =
      state === undefined
        ? undefined
        : (parseJson(state.text, STATE, DEPTH) as { set?: Map<string, RawJson> }).set;
    const value = set?.get(key)?.text;
    if (value === undefined)
      throw new Error(`broken invariant: event ${seq} does not set the key it is said to set`);
    return { key, version, seq, deleted, value };
  }
}

function notFound(): DaybookError {
  return new DaybookError(
    "session_not_found",
    "There is no session with this id. Create it with POST /v1/sessions.",
  );
}
