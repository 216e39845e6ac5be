import {
  applyEntry,
  type EventEntry,
  forgetPairs,
  headAfterEvents,
  type Head,
  type HeaderEntry,
  type KeyVersion,
  type LogId,
  nextVersion,
  type ProducerWindow,
  rememberPair,
  type SessionHeader,
  type StateOperation,
} from "@daybook/core";
import { LIMITS } from "@daybook/protocol";
import { type FramePosition, type IndexRun, pushPosition, RUN_FRAMES } from "./frame-position.js";
import { type Listed, placeInLists } from "./flush.js";
import { type LifecycleKind, lifecycleKindOf, type LifecycleNote } from "./lifecycle-note.js";
import type { HeadRecord } from "./records.js";

/** What the views are asked for when memory does not have it. */
export interface LogRecords {
  window(log: number, producerId: string): ProducerWindow | undefined;
  windows(log: number): Iterable<readonly [producerId: string, window: ProducerWindow]>;
  key(log: number, key: string): KeyVersion | undefined;
}

/** Producers and keys kept in memory for a log although the views have them. */
const CACHED_MAX = 16;

export interface NewKeyVersion {
  readonly key: string;
  readonly version: KeyVersion;
}

/** The part of an event entry that the views need; recovery reads only this much of an event. */
export type FoldedEvent = Pick<EventEntry, "producer" | "state">;

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
  readonly windows = new Map<string, ProducerWindow>();
  private dirtyWindows = new Set<string>();
  readonly keys = new Map<string, KeyVersion>();
  readonly newKeyVersions: NewKeyVersion[] = [];
  /** Changes of the session as a whole that the views do not have yet. */
  readonly newLifecycle: LifecycleNote[] = [];
  /** Some payloads are gone already: only an erase entry can follow. */
  zeroed = false;
  /** The flush that will take what changed in this log. */
  changedIn: { take(log: OpenLog): void } | undefined;
  /** What the views' lists say of this log now; undefined while they do not have it. */
  listed: Listed | undefined;
  private leastRecent: Map<string, number> | undefined;

  constructor(
    readonly number: number,
    public id: LogId | undefined,
    private readonly records: LogRecords,
  ) {}

  /** Takes over what the views know. */
  restore(record: HeadRecord): void {
    this.head = record.head;
    this.headerAt = record.headerAt;
    this.pairs = record.pairs;
    this.openRun = record.openRun;
    this.lastEventMs = record.lastEventMs;
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
    this.dirtyWindows.clear();
    this.keys.clear();
    this.newKeyVersions.length = 0;
    this.newLifecycle.length = 0;
    this.zeroed = false;
    this.changedIn = undefined;
    this.listed = undefined;
    this.leastRecent = undefined;
  }

  /** Lets go of what the views have by now. */
  release(runs: number, header: SessionHeader | undefined): void {
    this.finishedRuns.splice(0, runs);
    if (this.header === header) this.header = undefined;
    if (this.windows.size > CACHED_MAX) {
      for (const producerId of this.windows.keys()) {
        if (!this.dirtyWindows.has(producerId)) this.windows.delete(producerId);
      }
    }
    if (this.keys.size > CACHED_MAX && this.newKeyVersions.length === 0) this.keys.clear();
  }

  /** The open run, for a flush: it is copied before it changes again. */
  takeOpenRun(): IndexRun {
    this.openRunTaken = true;
    return this.openRun;
  }

  /** The producers that changed since this was last asked. */
  takeDirtyWindows(): (readonly [producerId: string, window: ProducerWindow])[] {
    if (this.dirtyWindows.size === 0) return [];
    const taken: [string, ProducerWindow][] = [];
    for (const producerId of this.dirtyWindows) {
      const window = this.windows.get(producerId);
      if (window !== undefined) taken.push([producerId, window]);
    }
    this.dirtyWindows = new Set();
    return taken;
  }

  window(producerId: string): ProducerWindow | undefined {
    const known = this.windows.get(producerId);
    if (known !== undefined) return known;
    const stored = this.records.window(this.number, producerId);
    if (stored !== undefined) this.windows.set(producerId, stored);
    return stored;
  }

  key(key: string): KeyVersion | undefined {
    return this.keys.get(key) ?? this.records.key(this.number, key);
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
    this.newLifecycle.push({ kind: lifecycleKindOf(entry), position, atMs, version });
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
    this.index(position, (this.head?.lastSeq ?? 0) + 1);
    if (this.zeroed) return;
    this.head = applyEntry(this.head, entry, atMs);
    if (entry.kind === "create") this.id = entry.session;
    if (entry.kind === "create" || entry.kind === "patch") {
      this.headerAt = position;
      this.header = entry.header;
    }
  }

  private foldState(operations: readonly StateOperation[], seq: number): void {
    for (const operation of operations) {
      const version = nextVersion(this.key(operation.key), operation, seq);
      this.keys.set(operation.key, version);
      this.newKeyVersions.push({ key: operation.key, version });
    }
  }

  private remember(producer: { id: string; seq: number }, seq: number): void {
    const before = this.window(producer.id);
    const after = rememberPair(before, producer.seq, seq);
    this.pairs += after.count - (before?.count ?? 0);
    this.setWindow(producer.id, after);
    if (this.leastRecent !== undefined) {
      this.leastRecent.delete(producer.id);
      this.leastRecent.set(producer.id, after.lastSeq);
    }
  }

  private setWindow(producerId: string, window: ProducerWindow): void {
    this.windows.set(producerId, window);
    this.dirtyWindows.add(producerId);
  }

  /** Producers in the order of their last event. Made only for the rare session that is over its limit, then kept. */
  private forgetLeastRecent(): void {
    this.leastRecent ??= this.byLastUse();
    for (const producerId of this.leastRecent.keys()) {
      if (this.pairs <= LIMITS.sessionPairsMax) return;
      const window = this.window(producerId);
      this.leastRecent.delete(producerId);
      if (window === undefined || window.count === 0) continue;
      this.pairs -= window.count;
      this.setWindow(producerId, forgetPairs(window));
    }
  }

  private byLastUse(): Map<string, number> {
    const lastSeqs = new Map<string, number>();
    for (const [producerId, window] of this.records.windows(this.number)) {
      if (window.count > 0) lastSeqs.set(producerId, window.lastSeq);
    }
    for (const [producerId, window] of this.windows) {
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

function erasedHead(atMs: number): Head {
  return {
    position: 0,
    lastSeq: 0,
    version: 1,
    status: "deleted",
    archived: false,
    createdAtMs: atMs,
    updatedAtMs: atMs,
  };
}
