import {
  addPair,
  applyEntry,
  type EventEntry,
  forgetPairs,
  headAfterEvents,
  type Head,
  type HeaderEntry,
  type KeyVersion,
  type LogId,
  nextVersion,
  type OwnWindow,
  ownWindow,
  type ProducerWindow,
  type SessionHeader,
  type StateOperation,
} from "@daybook/core";
import { LIMITS } from "@daybook/protocol";
import { type FramePosition, type IndexRun, pushPosition, RUN_FRAMES } from "./frame-position.js";
import { IdempotencyKeys, type KeyRecords, type RememberedKey } from "./idempotency-keys.js";
import { type Listed, placeInLists } from "./flush.js";
import { type LifecycleKind, lifecycleKindOf, type LifecycleNote } from "./lifecycle-note.js";
import { type MessageChunk, MessageIndex, type MessageRecords } from "./message-index.js";
import type { HeadRecord } from "./records.js";
import { type NewKeyVersion, StateVersions, type VersionRecords } from "./state-versions.js";

/** What the views are asked for when memory does not have it. */
export interface LogRecords extends VersionRecords, MessageRecords, KeyRecords {
  window(log: number, producerId: string): ProducerWindow | undefined;
  windows(log: number): Iterable<readonly [producerId: string, window: ProducerWindow]>;
}

/** Where a fork finds what it inherits. */
export interface ParentLogs {
  /** Undefined for a log that is no fork. */
  parentOf(log: OpenLog): OpenLog | undefined;
}

/** Producers kept in memory for a log although the views have them. */
const CACHED_MAX = 16;

/** A producer's window in memory. */
interface KnownWindow {
  readonly id: string;
  window: OwnWindow;
  /** The views do not have it like this, and nobody else holds it. */
  isNew: boolean;
}

/** The part of an event entry that the views need; recovery reads only this much of an event. */
export type FoldedEvent = Pick<EventEntry, "producer" | "state" | "isMessage" | "idempotencyKey">;

/**
 * A log in memory: the fold of all its frames, of which the views have those up to their stand. The same fold runs
 * when a command is committed, at recovery and when the views are rebuilt, so the three cannot disagree.
 */
export class OpenLog {
  head: Head | undefined;
  headerAt: FramePosition | undefined;
  /** The header itself, while it is newer than what the views can find. */
  header: SessionHeader | undefined;
  pairs = 0;
  lastEventMs = 0;
  /** Runs that are finished but not yet in the views. */
  readonly finishedRuns: IndexRun[] = [];
  openRun: IndexRun = { nextSeq: 1, ordinal: 0, positions: [] };
  private openRunTaken = false;
  readonly windows = new Map<string, KnownWindow>();
  /** The one asked for last: an append asks for its producer several times. */
  private latest: KnownWindow | undefined;
  /** Made when the first key is asked for: most logs have none. */
  private versions: StateVersions | undefined;
  /** Of this log's own messages. Made with the first one. */
  messages: MessageIndex | undefined;
  /** Made with the first idempotency key. */
  idempotency: IdempotencyKeys | undefined;
  /** Changes of the session as a whole that the views do not have yet. */
  readonly newLifecycle: LifecycleNote[] = [];
  /** Some payloads are gone already: only an erase entry can follow. */
  zeroed = false;
  /** The views may know more than is in memory. */
  private isStored = false;
  /** The flush that will take what changed in this log. */
  changedIn: { take(log: OpenLog): void } | undefined;
  /** What the views' lists say of this log now; undefined while they do not have it. */
  listed: Listed | undefined;
  private leastRecent: Map<string, number> | undefined;

  constructor(
    readonly number: number,
    public id: LogId | undefined,
    private readonly records: LogRecords,
    private readonly parents: ParentLogs,
  ) {}

  /** Takes over what the views know. */
  restore(record: HeadRecord): void {
    this.isStored = true;
    this.head = record.head;
    this.headerAt = record.headerAt;
    this.pairs = record.pairs;
    this.openRun = record.openRun;
    this.lastEventMs = record.lastEventMs;
    if (record.messages !== undefined)
      this.messages = new MessageIndex(this.number, this.records, record.messages);
    if (record.idempotencyKeys > 0)
      this.idempotency = new IdempotencyKeys(this.number, this.records, record.idempotencyKeys);
    if (record.head.status !== "deleted") {
      this.listed = placeInLists(record.head);
    }
  }

  /** Forgets everything, to be restored and folded again. */
  reset(): void {
    this.head = undefined;
    this.headerAt = undefined;
    this.header = undefined;
    this.pairs = 0;
    this.finishedRuns.length = 0;
    this.openRun = { nextSeq: 1, ordinal: 0, positions: [] };
    this.windows.clear();
    this.latest = undefined;
    this.versions = undefined;
    this.isStored = false;
    this.messages = undefined;
    this.idempotency = undefined;
    this.newLifecycle.length = 0;
    this.zeroed = false;
    this.changedIn = undefined;
    this.listed = undefined;
    this.leastRecent = undefined;
  }

  /** Lets go of what the views have by now. */
  release({ finishedRuns, keyVersions, finishedChunks, rememberedKeys, header }: Released): void {
    this.finishedRuns.splice(0, finishedRuns.length);
    if (this.header === header) this.header = undefined;
    this.versions?.release(keyVersions);
    this.messages?.release(finishedChunks.length);
    this.idempotency?.release(rememberedKeys);
    if (this.windows.size > CACHED_MAX) {
      this.latest = undefined;
      for (const known of this.windows.values()) {
        if (!known.isNew) this.windows.delete(known.id);
      }
    }
  }

  /** The open run, for a flush: it is copied before it changes again. */
  takeOpenRun(): IndexRun {
    this.openRunTaken = true;
    return this.openRun;
  }

  /** The producers that changed since this was last asked. */
  takeNewWindows(): (readonly [producerId: string, window: ProducerWindow])[] {
    const taken: [string, ProducerWindow][] = [];
    for (const known of this.windows.values()) {
      if (!known.isNew) continue;
      known.isNew = false;
      taken.push([known.id, known.window]);
    }
    // From here on there is something of this log in the views, or will be before memory lets go of it.
    this.isStored = true;
    return taken;
  }

  window(producerId: string): ProducerWindow | undefined {
    return this.known(producerId)?.window;
  }

  /** The newest version of a key; a fork's may be its parent's. */
  key(key: string): KeyVersion | undefined {
    const own = this.ownVersions()?.newest(key);
    return own ?? this.parents.parentOf(this)?.keyAt(key, this.sharedSeq);
  }

  /** The version of a key as of a seq. */
  keyAt(key: string, seq: number): KeyVersion | undefined {
    const own = this.ownVersions()?.at(key, seq);
    return own ?? this.parents.parentOf(this)?.keyAt(key, Math.min(seq, this.sharedSeq));
  }

  keyVersion(key: string, version: number): KeyVersion | undefined {
    const own = this.ownVersions()?.version(key, version);
    if (own !== undefined) return own;
    const inherited = this.parents.parentOf(this)?.keyVersion(key, version);
    return inherited === undefined || inherited.seq > this.sharedSeq ? undefined : inherited;
  }

  /** The versions of a key after one, in order. */
  *keyVersionsAfter(key: string, version: number): Generator<KeyVersion> {
    let last = version;
    for (const inherited of this.parents.parentOf(this)?.keyVersionsAfter(key, version) ?? []) {
      if (inherited.seq > this.sharedSeq) break;
      yield inherited;
      last = inherited.version;
    }
    yield* this.ownVersions()?.after(key, last) ?? [];
  }

  /** Versions that are not in the views, for a flush. */
  takeNewKeyVersions(): readonly NewKeyVersion[] {
    return this.versions?.take() ?? NO_VERSIONS;
  }

  /** One more frame of this log, with events from `firstSeq` on. */
  foldEvents(events: readonly FoldedEvent[], firstSeq: number, atMs: number, position: FramePosition): void {
    this.index(position, firstSeq);
    if (this.zeroed) return;
    this.head = headAfterEvents(this.head, firstSeq, events.length);
    let seq = firstSeq;
    for (const event of events) {
      if (event.producer !== null) this.remember(event.producer, seq);
      if (event.state.length > 0) this.foldState(event.state, seq);
      if (event.isMessage) this.foldMessage(event, seq);
      seq++;
    }
    this.lastEventMs = atMs;
    if (this.pairs > LIMITS.sessionPairsMax) this.forgetLeastRecent();
  }

  /** A frame whose payload was erased: only its place is known, and what kind of change it was. */
  foldZeroed(position: FramePosition, seq: number, atMs: number, kind: LifecycleKind | undefined): void {
    this.zeroed = true;
    if (kind !== undefined) this.newLifecycle.push({ kind, position, atMs, version: 0 });
    this.index(position, position.count === 0 ? seq + 1 : seq);
  }

  /** One more frame of this log, with a header change. */
  foldHeader(entry: HeaderEntry, atMs: number, position: FramePosition): void {
    this.applyHeader(entry, atMs, position);
    const version = this.head?.version ?? 0;
    const kind = lifecycleKindOf(entry);
    if (kind !== undefined) this.newLifecycle.push({ kind, position, atMs, version });
  }

  private applyHeader(entry: HeaderEntry, atMs: number, position: FramePosition): void {
    if (entry.kind === "erase") {
      this.id = entry.session;
      // Of a log whose segments were reclaimed nothing but this entry is left. Otherwise what the views knew of it
      // before has to be found in them again, so it is kept where it is known.
      this.head = this.head === undefined ? erasedHead(atMs) : applyEntry(this.head, entry, atMs);
      this.headerAt = undefined;
      this.header = undefined;
      return;
    }
    // A fork's own frames begin behind what it shares.
    const lastSeq = entry.kind === "create" ? entry.forkedFrom?.seq : this.head?.lastSeq;
    this.index(position, (lastSeq ?? 0) + 1);
    if (this.zeroed) return;
    this.head = applyEntry(this.head, entry, atMs);
    if (entry.kind === "create") this.id = entry.session;
    if (entry.kind === "create" || entry.kind === "patch") {
      this.headerAt = position;
      this.header = entry.header;
    }
  }

  private foldMessage({ idempotencyKey }: FoldedEvent, seq: number): void {
    this.messages ??= new MessageIndex(this.number, this.records);
    this.messages.add(seq);
    if (idempotencyKey === undefined) return;
    this.idempotency ??= new IdempotencyKeys(this.number, this.records);
    this.idempotency.add(idempotencyKey, seq);
  }

  private foldState(operations: readonly StateOperation[], seq: number): void {
    for (const operation of operations) {
      const version = nextVersion(this.key(operation.key), operation, seq);
      this.versions ??= this.newVersions();
      this.versions.add(operation.key, version);
    }
  }

  private ownVersions(): StateVersions | undefined {
    if (this.isStored) this.versions ??= this.newVersions();
    return this.versions;
  }

  private newVersions(): StateVersions {
    return new StateVersions(this.number, this.records, this.isStored);
  }

  /** The last seq that a fork shares with its parent. */
  private get sharedSeq(): number {
    return this.head?.forkedFrom?.seq ?? 0;
  }

  private remember(producer: { id: string; seq: number }, seq: number): void {
    const known =
      this.known(producer.id) ??
      this.addWindow({ id: producer.id, window: ownWindow(undefined), isNew: true });
    const { window } = this.renewed(known);
    const before = window.count;
    addPair(window, producer.seq, seq);
    this.pairs += window.count - before;
    if (this.leastRecent !== undefined) {
      this.leastRecent.delete(producer.id);
      this.leastRecent.set(producer.id, seq);
    }
  }

  private known(producerId: string): KnownWindow | undefined {
    if (this.latest?.id === producerId) return this.latest;
    let known = this.windows.get(producerId);
    if (known === undefined && this.isStored) {
      const window = this.records.window(this.number, producerId);
      if (window !== undefined)
        known = this.addWindow({ id: producerId, window: ownWindow(window), isNew: false });
    }
    if (known !== undefined) this.latest = known;
    return known;
  }

  private addWindow(known: KnownWindow): KnownWindow {
    this.windows.set(known.id, known);
    this.latest = known;
    return known;
  }

  /** The same, to be changed: what the views have, or are about to be given, stays as it is. */
  private renewed(known: KnownWindow): KnownWindow {
    if (!known.isNew) {
      known.window = ownWindow(known.window);
      known.isNew = true;
    }
    return known;
  }

  /** Producers in the order of their last event. Made only for the rare session that is over its limit, then kept. */
  private forgetLeastRecent(): void {
    this.leastRecent ??= this.byLastUse();
    for (const producerId of this.leastRecent.keys()) {
      if (this.pairs <= LIMITS.sessionPairsMax) return;
      const known = this.known(producerId);
      this.leastRecent.delete(producerId);
      if (known === undefined || known.window.count === 0) continue;
      this.pairs -= known.window.count;
      this.renewed(known).window = ownWindow(forgetPairs(known.window));
    }
  }

  private byLastUse(): Map<string, number> {
    const lastSeqs = new Map<string, number>();
    for (const [producerId, window] of this.records.windows(this.number)) {
      if (window.count > 0) lastSeqs.set(producerId, window.lastSeq);
    }
    for (const { id: producerId, window } of this.windows.values()) {
      if (window.count > 0) lastSeqs.set(producerId, window.lastSeq);
    }
    return new Map([...lastSeqs].sort((one, other) => one[1] - other[1]));
  }

  private index(position: FramePosition, nextSeq: number): void {
    if (this.openRun.positions.length === RUN_FRAMES * 4) {
      this.finishedRuns.push(this.openRun);
      this.openRun = { nextSeq, ordinal: this.openRun.ordinal + RUN_FRAMES, positions: [] };
    } else if (this.openRun.positions.length === 0) {
      this.openRun = { nextSeq, ordinal: this.openRun.ordinal, positions: [] };
    } else if (this.openRunTaken) {
      this.openRun = { ...this.openRun, positions: [...this.openRun.positions] };
    }
    this.openRunTaken = false;
    pushPosition(this.openRun.positions, position);
  }
}

const NO_VERSIONS: readonly NewKeyVersion[] = [];

/** What a flush took of a log, and the views have now. */
export interface Released {
  readonly finishedRuns: readonly IndexRun[];
  readonly keyVersions: readonly NewKeyVersion[];
  readonly finishedChunks: readonly MessageChunk[];
  readonly rememberedKeys: readonly RememberedKey[];
  readonly header: SessionHeader | undefined;
}

function erasedHead(atMs: number): Head {
  return {
    position: 0,
    lastSeq: 0,
    version: 1,
    status: "deleted",
    archived: false,
    createdAtMs: atMs,
    updatedAtMs: atMs,
    forks: 0,
    forkedFrom: undefined,
  };
}
