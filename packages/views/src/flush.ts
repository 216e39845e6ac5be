import type { SessionHeader } from "@daybook/core";
import { type JsonShape, LIMITS, parseJson, type RawJson } from "@daybook/protocol";
import type { OpenLog } from "./open-log.js";
import {
  encodeHeadRecord,
  encodeKeyVersion,
  encodeWindow,
  erasingKey,
  headKey,
  indexedKey,
  type Key,
  listKey,
  metadataKey,
  producerKey,
  runKey,
  sessionKey,
  SORTS,
  stateKey,
  versionKey,
} from "./records.js";
import type { Put, Views } from "./views.js";

/** Collects what a set of changed logs adds to the views. Whatever it takes from a log is no longer dirty there. */
export class Flush {
  readonly puts: Put[] = [];
  readonly removals: Key[] = [];
  /** What was taken, to be let go of once it is in the views. */
  private readonly taken: { log: OpenLog; runs: number; header: SessionHeader | undefined }[] = [];

  constructor(private readonly views: Views) {}

  take(log: OpenLog): void {
    const { number, id, head } = log;
    // Erased payloads without their erase entry so far: there is nothing true to say about this log yet.
    if (id === undefined || head === undefined || (log.zeroed && head.status !== "deleted")) return;
    log.dirty = false;
    this.taken.push({ log, runs: log.finishedRuns.length, header: log.header });
    this.puts.push([
      headKey(number),
      encodeHeadRecord({
        id,
        head,
        pairs: log.pairs,
        headerAt: log.headerAt,
        openRun: { ...log.openRun, positions: [...log.openRun.positions] },
        lastEventMs: log.lastEventMs,
      }),
    ]);
    for (const run of log.finishedRuns) this.puts.push([runKey(number, run), run.positions]);
    if (head.status === "deleted") this.takeErased(log);
    else this.takeLiving(log, number);
  }

  get logs(): OpenLog[] {
    return this.taken.map(({ log }) => log);
  }

  /** The views have it all now: memory need not. */
  release(): void {
    for (const { log, runs, header } of this.taken) log.release(runs, header);
  }

  private takeLiving(log: OpenLog, number: number): void {
    for (const producerId of log.dirtyWindows) {
      const window = log.windows.get(producerId);
      if (window !== undefined) this.puts.push([producerKey(number, producerId), encodeWindow(window)]);
    }
    log.dirtyWindows.clear();
    for (const { key, version } of log.newKeyVersions) {
      this.puts.push([versionKey(number, key, version.version), [version.seq, version.deleted ? 1 : 0]]);
      this.puts.push([stateKey(number, key), encodeKeyVersion(version)]);
    }
    log.newKeyVersions.length = 0;
    this.takeCatalog(log);
  }

  private takeCatalog(log: OpenLog): void {
    const { number, id, head, listed } = log;
    if (id === undefined || head === undefined) return;
    const { archived, createdAtMs, updatedAtMs } = head;
    const moved = listed === undefined || listed.archived !== archived;
    if (moved) {
      if (listed === undefined) this.puts.push([sessionKey(id), number]);
      else this.removeFromLists(log, listed);
      this.puts.push([listKey(id.tenant, { archived, sort: "id", value: 0, id: id.id }), number]);
      this.puts.push([listKey(id.tenant, { archived, sort: "created", value: createdAtMs, id: id.id }), number]);
    }
    if (moved || listed.updatedAtMs !== updatedAtMs) {
      if (!moved) {
        const old = { archived, sort: "updated", value: listed.updatedAtMs, id: id.id } as const;
        this.removals.push(listKey(id.tenant, old));
      }
      this.puts.push([listKey(id.tenant, { archived, sort: "updated", value: updatedAtMs, id: id.id }), number]);
    }
    log.listed = { archived, updatedAtMs };
    if (log.header !== undefined) this.indexMetadata(log, indexedMembers(log.header));
    else if (moved) this.indexMetadata(log, this.indexed(number));
  }

  private takeErased(log: OpenLog): void {
    const { number, id, listed } = log;
    if (id === undefined) return;
    this.puts.push([sessionKey(id), number], [erasingKey(number), 1]);
    if (listed !== undefined) {
      this.removeFromLists(log, listed);
      this.removeIndexed(log);
    }
    log.listed = undefined;
    log.dirtyWindows.clear();
    log.newKeyVersions.length = 0;
  }

  private removeFromLists({ id, head }: OpenLog, listed: { archived: boolean; updatedAtMs: number }): void {
    if (id === undefined || head === undefined) return;
    const values = { id: 0, created: head.createdAtMs, updated: listed.updatedAtMs };
    for (const sort of Object.keys(SORTS) as (keyof typeof SORTS)[]) {
      const place = { archived: listed.archived, sort, value: values[sort], id: id.id };
      this.removals.push(listKey(id.tenant, place));
    }
  }

  private indexMetadata(log: OpenLog, members: readonly (readonly [string, string])[]): void {
    const { number, id, head } = log;
    if (id === undefined || head === undefined) return;
    if (this.removeIndexed(log) === 0 && members.length === 0) return;
    for (const member of members) {
      this.puts.push([metadataKey(id.tenant, member, { archived: head.archived, id: id.id }), number]);
    }
    this.puts.push([indexedKey(number), members]);
  }

  private removeIndexed({ number, id }: OpenLog): number {
    const before = this.indexed(number);
    if (id === undefined || before.length === 0) return 0;
    for (const member of before) {
      for (const archived of [false, true]) this.removals.push(metadataKey(id.tenant, member, { archived, id: id.id }));
    }
    this.removals.push(indexedKey(number));
    return before.length;
  }

  private indexed(log: number): [string, string][] {
    return (this.views.get(indexedKey(log)) as [string, string][] | undefined) ?? [];
  }
}

const MEMBERS: JsonShape = { values: "raw" };

/** The members of a session's metadata that lists can be filtered by: top-level scalars of moderate size, as text. */
export function indexedMembers(header: SessionHeader): [string, string][] {
  if (header.metadata === "{}") return [];
  const members: [string, string][] = [];
  const values = parseJson(header.metadata, MEMBERS, { depthMax: 1000 }) as Map<string, RawJson>;
  for (const [name, value] of values) {
    if (value.kind === "object" || value.kind === "array") continue;
    const text = value.kind === "string" ? (JSON.parse(value.text) as string) : value.text;
    const member = indexable(name, text);
    if (member !== undefined) members.push(member);
  }
  return members;
}

/**
 * A metadata member as it stands in keys, which cannot hold a NUL: escaped as JSON does, so that no two texts meet.
 * Undefined for one too large to be indexed.
 */
export function indexable(name: string, value: string): [string, string] | undefined {
  const escaped: [string, string] = [JSON.stringify(name).slice(1, -1), JSON.stringify(value).slice(1, -1)];
  const fits = escaped.every((text) => Buffer.byteLength(text) <= LIMITS.indexedMetadataBytesMax);
  return fits && escaped[0].length > 0 ? escaped : undefined;
}
