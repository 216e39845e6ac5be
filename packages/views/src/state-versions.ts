import type { KeyVersion } from "@daybook/core";

/** What the views know of state keys. */
export interface VersionRecords {
  /** The newest version. */
  key(log: number, key: string): KeyVersion | undefined;
  version(log: number, key: string, version: number): KeyVersion | undefined;
}

export interface NewKeyVersion {
  readonly key: string;
  readonly version: KeyVersion;
}

/** Keys kept in memory for a log although the views have them. */
const CACHED_MAX = 16;

/**
 * The versions of one log's state keys: what the views lack is in memory, all else is in the views. Versions of a key
 * have no gaps, so any of them is found by halving, by number or by seq. A fork's begin behind those it inherits.
 */
export class StateVersions {
  /** Key by key, ascending up to the newest: at least what the views do not have. */
  private readonly known = new Map<string, KeyVersion[]>();
  /** In the order they were made; no flush has taken them. */
  private fresh: NewKeyVersion[] = [];

  constructor(
    private readonly log: number,
    private readonly records: VersionRecords,
    /** The views may know more than is in memory. */
    private isStored: boolean,
  ) {}

  newest(key: string): KeyVersion | undefined {
    return this.known.get(key)?.at(-1) ?? this.storedNewest(key);
  }

  /** The newest version that was made by this seq. */
  at(key: string, seq: number): KeyVersion | undefined {
    const known = this.known.get(key);
    const oldest = known?.[0];
    if (known !== undefined && oldest !== undefined) {
      if (oldest.seq > seq) return this.storedAt(key, seq, oldest.version - 1);
      return known[lastWhere(known.length - 1, (index) => (known[index] as KeyVersion).seq <= seq)];
    }
    const newest = this.storedNewest(key);
    if (newest === undefined || newest.seq <= seq) return newest;
    return this.storedAt(key, seq, newest.version - 1);
  }

  version(key: string, version: number): KeyVersion | undefined {
    const known = this.known.get(key);
    const oldest = known?.[0];
    if (known !== undefined && oldest !== undefined && version >= oldest.version)
      return known[version - oldest.version];
    return this.isStored ? this.records.version(this.log, key, version) : undefined;
  }

  add(key: string, version: KeyVersion): void {
    const known = this.known.get(key);
    if (known === undefined) this.known.set(key, [version]);
    else known.push(version);
    this.fresh.push({ key, version });
  }

  /** Those that no flush has taken yet. They stay here until they are released. */
  take(): readonly NewKeyVersion[] {
    const taken = this.fresh;
    this.fresh = [];
    if (taken.length > 0) this.isStored = true;
    return taken;
  }

  /** The views have these now. A few keys' newest versions stay: they are likely to be asked for. */
  release(taken: readonly NewKeyVersion[]): void {
    if (this.known.size > CACHED_MAX && this.fresh.length === 0) {
      this.known.clear();
      return;
    }
    const newest = new Map(taken.map(({ key, version }) => [key, version.version]));
    for (const [key, version] of newest) {
      const known = this.known.get(key);
      if (known?.[0] === undefined) continue;
      if (known.at(-1)?.version === version && this.known.size > CACHED_MAX) this.known.delete(key);
      else known.splice(0, version - known[0].version);
    }
  }

  private storedNewest(key: string): KeyVersion | undefined {
    return this.isStored ? this.records.key(this.log, key) : undefined;
  }

  /** By halving. Those below a fork's own are not among its records; they are older than all of them. */
  private storedAt(key: string, seq: number, newest: number): KeyVersion | undefined {
    if (!this.isStored) return undefined;
    const version = lastWhere(
      newest,
      (number) => (this.records.version(this.log, key, number)?.seq ?? 0) <= seq,
    );
    return version === 0 ? undefined : this.records.version(this.log, key, version);
  }
}

/** The last number up to `high` for which it holds; it holds up to some number, and for 0 in any case. */
function lastWhere(high: number, holds: (number: number) => boolean): number {
  let low = 0;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (holds(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
