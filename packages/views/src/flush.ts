import {
  type Head,
  indexedMembers,
  type LogId,
  ownerOfKey,
  type ProducerWindow,
  type SessionHeader,
} from "@daybook/core";
import type { FramePosition, IndexRun } from "./frame-position.js";
import { type RememberedKey, slotOf } from "./idempotency-keys.js";
import { inSlices } from "./in-slices.js";
import type { LifecycleNote } from "./lifecycle-note.js";
import type { MessageChunk } from "./message-index.js";
import type { OpenLog } from "./open-log.js";
import type { NewKeyVersion } from "./state-versions.js";
import {
  decodeRememberedKey,
  encodeHeadRecord,
  encodeKeyVersion,
  encodeLifecycleNote,
  encodeRememberedKey,
  encodeWindow,
  erasingKey,
  headKey,
  keyDigestKey,
  indexedKey,
  keySlotKey,
  type Key,
  lifecycleKey,
  listKey,
  memberDigest,
  messagesKey,
  metadataKey,
  ownerKey,
  parentDigest,
  producerKey,
  runKey,
  sessionKey,
  SORTS,
  stateKey,
  versionKey,
} from "./records.js";

/** One record to write; without a value: to remove. */
export type Change = readonly [key: Key, value?: unknown];

/** Where a log stands in the lists. */
export interface Listed {
  readonly archived: boolean;
  /** Not the head's: that of a log whose create entry is zeroed does not know it any more. */
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export function placeInLists({ archived, createdAtMs, updatedAtMs }: Head): Listed {
  return { archived, createdAtMs, updatedAtMs };
}

/** What a log was when it was taken; the log itself goes on. */
interface Taken<Log extends OpenLog = OpenLog> {
  readonly log: Log;
  readonly id: LogId;
  readonly head: Head;
  readonly pairs: number;
  readonly lastEventMs: number;
  readonly headerAt: FramePosition | undefined;
  readonly header: SessionHeader | undefined;
  readonly openRun: IndexRun;
  readonly finishedRuns: readonly IndexRun[];
  readonly windows: readonly (readonly [producerId: string, window: ProducerWindow])[];
  readonly keyVersions: readonly NewKeyVersion[];
  readonly messages: MessageChunk | undefined;
  readonly finishedChunks: readonly MessageChunk[];
  readonly idempotencyKeys: number;
  readonly rememberedKeys: readonly RememberedKey[];
  readonly lifecycle: readonly LifecycleNote[];
  readonly listedBefore: Listed | undefined;
}

const NO_RUNS: readonly IndexRun[] = [];
const NO_CHUNKS: readonly MessageChunk[] = [];
const NO_KEYS: readonly RememberedKey[] = [];

/**
 * What a set of changed logs adds to the views. Collecting them costs nothing at once, however many they are: a log
 * is taken when its records are made, a few at a time, or just before it changes again, so that what is written is
 * the state of one moment.
 */
export class Flush<Log extends OpenLog = OpenLog> {
  private readonly changed: Log[] = [];
  private readonly taken: Taken<Log>[] = [];

  get isEmpty(): boolean {
    return this.changed.length === 0;
  }

  /** Every log that was added; one that was reset in between may stand here twice. */
  get logs(): readonly Log[] {
    return this.changed;
  }

  /** A log is about to change. Comes before the change: an earlier flush may want the log as it stands now. */
  add(log: Log): void {
    if (log.changedIn === this) return;
    log.changedIn?.take(log);
    log.changedIn = this;
    this.changed.push(log);
  }

  /** Takes what is new of a log, as it stands now; does nothing the second time. */
  take(log: Log): void {
    const { id, head } = log;
    if (log.changedIn !== this) return;
    // Erased payloads without their erase entry so far: there is nothing true to say about this log yet.
    if (id === undefined || head === undefined || (log.zeroed && head.status !== "deleted")) return;
    const deleted = head.status === "deleted";
    const chunks = deleted ? undefined : log.messages?.take();
    this.taken.push({
      log,
      id,
      head,
      pairs: log.pairs,
      lastEventMs: log.lastEventMs,
      headerAt: log.headerAt,
      header: log.header,
      openRun: log.takeOpenRun(),
      finishedRuns: log.finishedRuns.length === 0 ? NO_RUNS : [...log.finishedRuns],
      windows: deleted ? [] : log.takeNewWindows(),
      keyVersions: deleted ? [] : log.takeNewKeyVersions(),
      messages: chunks?.open,
      finishedChunks: chunks?.finished ?? NO_CHUNKS,
      idempotencyKeys: log.idempotency?.count ?? 0,
      rememberedKeys: (deleted ? undefined : log.idempotency?.take()) ?? NO_KEYS,
      lifecycle: log.newLifecycle.splice(0),
      listedBefore: log.listed,
    });
    log.changedIn = undefined;
    log.listed = deleted ? undefined : placeInLists(head);
  }

  /** The views have it all now: memory need not. */
  async release(isUrgent?: () => boolean): Promise<void> {
    await inSlices(this.taken, (taken) => taken.log.release(taken), isUrgent);
  }

  /** The records, log by log. `get` reads what the views hold. */
  *changes(get: (key: Key) => unknown): Generator<Change> {
    let written = 0;
    for (const log of this.changed) {
      this.take(log);
      // More than this one, when others had to be taken early.
      for (; written < this.taken.length; written++) yield* changesOf(this.taken[written] as Taken, get);
    }
  }
}

function* changesOf(taken: Taken, get: (key: Key) => unknown): Generator<Change> {
  const { number } = taken.log;
  yield [headKey(number), encodeHeadRecord(taken)];
  for (const { ordinal, runs } of taken.finishedChunks) yield [messagesKey(number, ordinal), runs];
  if (taken.rememberedKeys.length > 0) yield* remembered(taken, get);
  for (const run of taken.finishedRuns) yield [runKey(number, run), run.positions];
  for (const [producerId, window] of taken.windows)
    yield [producerKey(number, producerId), encodeWindow(window)];
  for (const { key, version } of taken.keyVersions) {
    yield [versionKey(number, key, version), version.deleted ? 1 : 0];
    yield [stateKey(number, key), encodeKeyVersion(version)];
    if (!taken.id.isSession) yield [ownerKey(number, ownerOfKey(key), version.seq), 1];
  }
  if (!taken.id.isSession) {
    if (taken.listedBefore === undefined) yield [sessionKey(taken.id), number];
    return;
  }
  for (const note of taken.lifecycle) {
    yield [lifecycleKey(taken.id.tenant, note.position), encodeLifecycleNote(number, note)];
  }
  if (taken.head.status === "deleted") yield* erased(taken, get);
  else yield* listed(taken, get);
}

/** Those whose slots are taken again are forgotten first: one of them may be among the new ones. */
function* remembered({ log, rememberedKeys }: Taken, get: (key: Key) => unknown): Generator<Change> {
  for (const { ordinal } of rememberedKeys) {
    const slot = slotOf(ordinal);
    const before = get(keySlotKey(log.number, slot)) as string | undefined;
    if (before === undefined) continue;
    const key = keyDigestKey(log.number, before);
    const found = get(key);
    const isIts = found !== undefined && slotOf(decodeRememberedKey(before, found as never).ordinal) === slot;
    if (isIts) yield [key];
  }
  for (const key of rememberedKeys) {
    yield [keyDigestKey(log.number, key.digest), encodeRememberedKey(key)];
    yield [keySlotKey(log.number, slotOf(key.ordinal)), key.digest];
  }
}

function* listed(taken: Taken, get: (key: Key) => unknown): Generator<Change> {
  const { log, id, head, header, listedBefore } = taken;
  const { archived, createdAtMs, updatedAtMs } = head;
  const moved = listedBefore?.archived !== archived;
  if (moved) {
    if (listedBefore === undefined) yield [sessionKey(id), log.number];
    else yield* unlisted(taken, listedBefore);
    yield [listKey(id.tenant, { archived, sort: "id", value: 0, id: id.id }), log.number];
    yield [listKey(id.tenant, { archived, sort: "created", value: createdAtMs, id: id.id }), log.number];
  }
  if (moved || listedBefore.updatedAtMs !== updatedAtMs) {
    const place = { archived, sort: "updated", id: id.id } as const;
    if (listedBefore !== undefined) yield [listKey(id.tenant, { ...place, value: listedBefore.updatedAtMs })];
    yield [listKey(id.tenant, { ...place, value: updatedAtMs }), log.number];
  }
  if (header === undefined && !moved) return;
  const before = indexed(log.number, get);
  const digests = header === undefined ? before : digestsOf(header, head);
  if (before.length === 0 && digests.length === 0) return;
  yield* unindexed(taken, before);
  for (const digest of digests) yield [metadataKey(id.tenant, digest, { archived, id: id.id }), log.number];
  yield [indexedKey(log.number), digests];
}

/** What a session can be found by. */
function digestsOf({ metadata }: SessionHeader, { forkedFrom }: Head): string[] {
  const digests = indexedMembers(metadata).map(memberDigest);
  return forkedFrom === undefined ? digests : [...digests, parentDigest(forkedFrom.id)];
}

function* erased(taken: Taken, get: (key: Key) => unknown): Generator<Change> {
  const { log, id, listedBefore } = taken;
  yield [sessionKey(id), log.number];
  yield [erasingKey(log.number), 1];
  if (listedBefore === undefined) return;
  yield* unlisted(taken, listedBefore);
  yield* unindexed(taken, indexed(log.number, get));
  yield [indexedKey(log.number)];
}

function* unlisted({ id }: Taken, { archived, createdAtMs, updatedAtMs }: Listed): Generator<Change> {
  const values = { id: 0, created: createdAtMs, updated: updatedAtMs };
  for (const sort of Object.keys(SORTS) as (keyof typeof SORTS)[]) {
    yield [listKey(id.tenant, { archived, sort, value: values[sort], id: id.id })];
  }
}

function* unindexed({ id }: Taken, digests: readonly string[]): Generator<Change> {
  for (const digest of digests) {
    for (const archived of [false, true]) yield [metadataKey(id.tenant, digest, { archived, id: id.id })];
  }
}

function indexed(log: number, get: (key: Key) => unknown): string[] {
  return (get(indexedKey(log)) as string[] | undefined) ?? [];
}
