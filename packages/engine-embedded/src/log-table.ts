import { type LogId, parentOf } from "@daybook/core";
import { Flush, type ParentLogs, type Views } from "@daybook/views";
import { LiveLog } from "./live-log.js";

/** The logs in memory, by name and by number; others are restored from the views when asked for. */
export class LogTable implements ParentLogs {
  /** Set by whoever knows when logs can be let go of: there are more in memory than should be. */
  crowded: () => void = () => undefined;
  /** The number the next new log gets. */
  nextNumber = 1;
  private readonly byKey = new Map<string, LiveLog>();
  private readonly byNumber = new Map<number, LiveLog>();
  private changed = new Flush<LiveLog>();
  /** Those who wait for logs that are not there. */
  private readonly awaited = new Map<string, Set<() => void>>();

  constructor(
    private readonly views: Views,
    private readonly idleLogsMax: number,
  ) {}

  find(id: LogId): LiveLog | undefined {
    const known = this.byKey.get(id.key);
    if (known !== undefined) return known;
    const number = this.views.numberOf(id);
    return number === undefined ? undefined : this.numbered(number);
  }

  /** The log that this one was forked from. It is there as long as its forks are. */
  parentOf({ id, head }: LiveLog): LiveLog | undefined {
    const parent = id === undefined ? undefined : parentOf(id, head);
    if (parent === undefined) return undefined;
    const log = this.find(parent);
    if (log === undefined) throw new Error("broken invariant: a fork without its parent");
    return log;
  }

  /** The log of this number; a new, empty one if neither memory nor the views know it. */
  numbered(number: number): LiveLog {
    const known = this.byNumber.get(number);
    if (known !== undefined) return known;
    const log = new LiveLog(number, undefined, this.views, this);
    this.restore(log);
    log.publish();
    this.byNumber.set(number, log);
    this.name(log);
    // Now and then: looking for those to let go of takes as long as there are many.
    if (this.byNumber.size > this.idleLogsMax * 1.1 + 10) this.crowded();
    return log;
  }

  /** The log of this number if it is in memory. */
  resident(number: number): LiveLog | undefined {
    return this.byNumber.get(number);
  }

  /** Calls back after the log moved; one that is not there moves when it is created. */
  watch(id: LogId, moved: () => void): () => void {
    const log = this.find(id);
    const watchers = log?.watchers ?? this.awaited.get(id.key) ?? new Set();
    if (log === undefined) this.awaited.set(id.key, watchers);
    else log.watchers = watchers;
    watchers.add(moved);
    return () => {
      watchers.delete(moved);
      if (watchers.size === 0 && this.awaited.get(id.key) === watchers) this.awaited.delete(id.key);
    };
  }

  create(id: LogId): LiveLog {
    const log = new LiveLog(this.nextNumber++, id, this.views, this);
    log.watchers = this.awaited.get(id.key);
    this.awaited.delete(id.key);
    this.byNumber.set(log.number, log);
    this.byKey.set(id.key, log);
    return log;
  }

  /** Brings a log back to what the views know of it. */
  restore(log: LiveLog): void {
    const record = this.views.record(log.number);
    if (record === undefined) return;
    log.id = record.id;
    log.restore(record);
  }

  /** A log gets its name from its create or erase entry. */
  name(log: LiveLog): void {
    if (log.id !== undefined) this.byKey.set(log.id.key, log);
  }

  /** To be called before a log changes: the views will need to know. */
  changing(log: LiveLog): void {
    this.changed.add(log);
  }

  get size(): number {
    return this.byNumber.size;
  }

  get hasChanges(): boolean {
    return !this.changed.isEmpty;
  }

  /** What changed since this was last asked. */
  takeChanged(): Flush<LiveLog> {
    const { changed } = this;
    this.changed = new Flush();
    return changed;
  }

  /** After recovery: all that was folded is on disk, so readers may see it. */
  publishAll(): void {
    for (const log of this.byNumber.values()) log.publish();
  }

  forget(log: LiveLog): void {
    // Its creation failed; whoever waits for it goes on waiting.
    const { watchers } = log;
    if (log.head === undefined && log.id !== undefined && watchers !== undefined && watchers.size > 0)
      this.awaited.set(log.id.key, watchers);
    this.byNumber.delete(log.number);
    if (log.id !== undefined && this.byKey.get(log.id.key) === log) this.byKey.delete(log.id.key);
  }

  /** Lets go of logs that nobody follows and that the views know all about. Bounds memory by configuration. */
  sweep(times = 1): void {
    let excess = this.byNumber.size - this.idleLogsMax * times;
    if (excess <= 0) return;
    for (const log of this.byNumber.values()) {
      if (excess <= 0) return;
      const needed =
        log.changedIn !== undefined || log.hasBlocks || log.isWatched || log.lastBatch !== undefined;
      if (needed) continue;
      this.forget(log);
      excess--;
    }
  }
}
