import { createHash } from "node:crypto";
import type { Head, KeyVersion, LogId, ProducerWindow } from "@daybook/core";
import type { FramePosition, IndexRun, PackedPositions } from "./frame-position.js";
import type { RememberedKey } from "./idempotency-keys.js";
import { LIFECYCLE_KINDS, type LifecycleNote } from "./lifecycle-note.js";
import type { MessageChunk } from "./message-index.js";

/**
 * Everything that stands in the views, one line each. Keys are tuples, ordered member by member; values are small
 * arrays. A log is named by its number, so keys stay short however long the ids are.
 *
 *     ["meta", name]                            → the stand, the format (meta)
 *     ["s", tenant, id]                         → log number; stays after deletion
 *     ["h", log]                                → head, header position, the unfinished index run and message chunk
 *     ["f", log, next seq, ordinal]             → a finished index run
 *     ["p", log, producer id]                   → producer window
 *     ["k", log, key]                           → a state key's newest version
 *     ["v", log, key, seq, version]             → 1 for a tombstone; a fork's own versions only
 *     ["a", log, owner, seq]                    → 1: this commit changed keys of this agent (not of sessions)
 *     ["o", log, ordinal]                       → a finished chunk of the message index; a fork's own messages only
 *     ["q", log, digest]                        → an idempotency key: which one it is, and its message's seq
 *     ["r", log, slot]                          → the digest of the idempotency key in this slot of the ring
 *     ["l", tenant, archived, sort, value, id]  → log number: the lists
 *     ["m", tenant, digest, archived, id]       → log number: sessions by metadata, and forks by their parent
 *     ["y", tenant, segment, offset]            → a change of a session as a whole, in the order of the log
 *     ["i", log]                                → what "m" holds of this log
 *     ["z", log]                                → an erasure that is not finished
 */
export type Key = (string | number)[];

export const FORMAT = 7;

/** How far the log has been taken into the views: the next batch begins here. */
export interface Stand {
  readonly segment: number;
  readonly offset: number;
  /** Where the last batch before it begins; 0 where none stands before it in the segment. */
  readonly batchOffset: number;
  readonly nextBatch: number;
  readonly nextLog: number;
  readonly lastMs: number;
}

export const metaKey = (name: "stand" | "format" | "compact"): Key => ["meta", name];
export const sessionKey = (id: LogId): Key => ["s", id.tenant, id.id];
export const headKey = (log: number): Key => ["h", log];
export const runKey = (log: number, run: IndexRun): Key => ["f", log, run.nextSeq, run.ordinal];
export const producerKey = (log: number, producerId: string): Key => ["p", log, producerId];
export const stateKey = (log: number, key: string): Key => ["k", log, key];
export const versionKey = (log: number, key: string, { seq, version }: KeyVersion): Key => [
  "v",
  log,
  key,
  seq,
  version,
];
export const ownerKey = (log: number, owner: string, seq: number): Key => ["a", log, owner, seq];
export const keyDigestKey = (log: number, digest: string): Key => ["q", log, digest];
export const keySlotKey = (log: number, slot: number): Key => ["r", log, slot];
export const messagesKey = (log: number, ordinal: number): Key => ["o", log, ordinal];
export const lifecycleKey = (tenant: string, { segment, offset }: FramePosition): Key => [
  "y",
  tenant,
  segment,
  offset,
];
export const indexedKey = (log: number): Key => ["i", log];
export const erasingKey = (log: number): Key => ["z", log];

export const SORTS = { id: 0, created: 1, updated: 2 } as const;

export function listKey(
  tenant: string,
  place: { archived: boolean; sort: keyof typeof SORTS; value: number; id: string },
): Key {
  return ["l", tenant, place.archived ? 1 : 0, SORTS[place.sort], place.value, place.id];
}

/**
 * A metadata member as it stands in keys. Names and values are looked up only as a whole, and as texts they would not
 * fit: LMDB's keys end at 1,978 bytes, and a tenant and an id may take 1,536 of them.
 */
export function memberDigest(member: readonly [name: string, value: string]): string {
  return digestOf(member);
}

/** The parent of forks, among the digests of metadata: hashed as an object, so that it meets none of a member. */
export function parentDigest(id: string): string {
  return digestOf({ forkedFrom: id });
}

function digestOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("base64url").slice(0, 22);
}

export function metadataKey(tenant: string, digest: string, place: { archived: boolean; id: string }): Key {
  return ["m", tenant, digest, place.archived ? 1 : 0, place.id];
}

/** What the views keep of a log beside its runs, windows and keys. */
export interface HeadRecord {
  readonly id: LogId;
  readonly head: Head;
  readonly pairs: number;
  readonly headerAt: FramePosition | undefined;
  readonly openRun: IndexRun;
  readonly lastEventMs: number;
  /** Absent while there are no messages. */
  readonly messages: MessageChunk | undefined;
  /** How many idempotency keys there were ever. */
  readonly idempotencyKeys: number;
}

type HeadValue = [
  tenant: string,
  id: string,
  head: [
    position: number,
    lastSeq: number,
    version: number,
    status: number,
    archived: number,
    created: number,
    updated: number,
    forks: number,
    forkedFrom: 0 | [parent: string, seq: number, depth: number],
  ],
  pairs: number,
  headerAt: number[],
  openRun: [nextSeq: number, ordinal: number, positions: PackedPositions],
  lastEventMs: number,
  messages: [ordinal: number, ...runs: number[]] | [],
  idempotencyKeys: number,
];

const STATUSES = ["open", "closed", "deleted"] as const;

export function encodeHeadRecord(record: HeadRecord): HeadValue {
  const { id, head, pairs, headerAt, openRun, lastEventMs, messages, idempotencyKeys } = record;
  return [
    id.tenant,
    id.id,
    [
      head.position,
      head.lastSeq,
      head.version,
      STATUSES.indexOf(head.status),
      head.archived ? 1 : 0,
      head.createdAtMs,
      head.updatedAtMs,
      head.forks,
      head.forkedFrom === undefined ? 0 : [head.forkedFrom.id, head.forkedFrom.seq, head.forkedFrom.depth],
    ],
    pairs,
    headerAt === undefined ? [] : [headerAt.segment, headerAt.offset, headerAt.bytes],
    [openRun.nextSeq, openRun.ordinal, openRun.positions],
    lastEventMs,
    messages === undefined ? [] : [messages.ordinal, ...messages.runs],
    idempotencyKeys,
  ];
}

export function decodeHeadRecord(
  value: HeadValue,
  makeId: (tenant: string, id: string) => LogId,
): HeadRecord {
  const [
    tenant,
    id,
    [position, lastSeq, version, status, archived, createdAtMs, updatedAtMs, forks, from],
    pairs,
    at,
    run,
    lastEventMs,
    [ordinal, ...runs],
    idempotencyKeys,
  ] = value;
  const [segment, offset, bytes] = at;
  return {
    id: makeId(tenant, id),
    head: {
      position,
      lastSeq,
      version,
      status: STATUSES[status] ?? "open",
      archived: archived === 1,
      createdAtMs,
      updatedAtMs,
      forks,
      forkedFrom: from === 0 ? undefined : { id: from[0], seq: from[1], depth: from[2] },
    },
    pairs,
    headerAt:
      segment === undefined || offset === undefined || bytes === undefined
        ? undefined
        : { segment, offset, bytes, count: 0 },
    openRun: { nextSeq: run[0], ordinal: run[1], positions: run[2] },
    lastEventMs,
    messages: ordinal === undefined ? undefined : { ordinal, runs },
    idempotencyKeys,
  };
}

/** @param key the record's key, which says which version it is, and of which seq */
export function decodeVersion(key: Key, deleted: number): KeyVersion {
  return { version: key[4] as number, seq: key[3] as number, deleted: deleted === 1 };
}

type WindowValue = [last: number, lastSeq: number, count: number, runs: readonly number[]];

export const encodeWindow = (window: ProducerWindow): WindowValue => [
  window.last,
  window.lastSeq,
  window.count,
  window.runs,
];

export function decodeWindow([last, lastSeq, count, runs]: WindowValue): ProducerWindow {
  return { last, lastSeq, count, runs };
}

type KeyValue = [version: number, seq: number, deleted: number];

export const encodeKeyVersion = ({ version, seq, deleted }: KeyVersion): KeyValue => [
  version,
  seq,
  deleted ? 1 : 0,
];

export function decodeKeyVersion([version, seq, deleted]: KeyValue): KeyVersion {
  return { version, seq, deleted: deleted === 1 };
}

type LifecycleValue = [log: number, kind: number, atMs: number, version: number, bytes: number];

export function encodeLifecycleNote(
  log: number,
  { kind, atMs, version, position }: LifecycleNote,
): LifecycleValue {
  return [log, LIFECYCLE_KINDS.indexOf(kind), atMs, version, position.bytes];
}

/** @param key the record's key, which says where the frame stands */
export function decodeLifecycleNote(
  key: Key,
  [log, kind, atMs, version, bytes]: LifecycleValue,
): LifecycleNote & { readonly log: number } {
  const position = { segment: key[2] as number, offset: key[3] as number, bytes, count: 0 };
  return { log, kind: LIFECYCLE_KINDS[kind] ?? "updated", atMs, version, position };
}

type RememberedKeyValue = [ordinal: number, seq: number];

export const encodeRememberedKey = ({ ordinal, seq }: RememberedKey): RememberedKeyValue => [ordinal, seq];

export function decodeRememberedKey(digest: string, [ordinal, seq]: RememberedKeyValue): RememberedKey {
  return { digest, ordinal, seq };
}
