import type { KeyVersion } from "@daybook/core";

/** What the views know of state keys. */
export interface VersionRecords {
  /** The newest version. */
  key(log: number, key: string): KeyVersion | undefined;
  /** The newest one that was made by this seq. */
  versionAt(log: number, key: string, seq: number): KeyVersion | undefined;
  /** From the first one that was made at this seq or later, in order. */
  versionsFrom(log: number, key: string, seq: number): Iterable<KeyVersion>;
}

export interface NewKeyVersion {
  readonly key: string;
  readonly version: KeyVersion;
}

/** Keys kept in memory for a log although the views have them. */
const CACHED_MAX = 16;

/**
 * The versions of one log's state keys: what the views lack is in memory, all else is in the views, ordered by the seqs
 * that made them. Versions of a key have no gaps. A fork's begin behind those it inherits.
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
    if (known?.[0] !== undefined && known[0].seq <= seq)
      return known[lastWhere(known.length - 1, (index) => (known[index] as KeyVersion).seq <= seq)];
    // Mostly the newest is meant, and that is one record and no search.
    const newest = this.storedNewest(key);
    return newest === undefined || newest.seq <= seq ? newest : this.records.versionAt(this.log, key, seq);
  }

  version(key: string, version: number): KeyVersion | undefined {
    const known = this.known.get(key);
    const oldest = known?.[0];
    if (known !== undefined && oldest !== undefined && version >= oldest.version)
      return known[version - oldest.version];
    for (const stored of this.storedFrom(key, version))
      return stored.version === version ? stored : undefined;
    return undefined;
  }

  /** All versions after one, in order. */
  *after(key: string, version: number): Generator<KeyVersion> {
    const known = this.known.get(key) ?? [];
    const oldest = known[0]?.version ?? Infinity;
    if (version + 1 < oldest) {
      for (const stored of this.storedFrom(key, version + 1)) {
        if (stored.version >= oldest) break;
        yield stored;
      }
    }
    for (const one of known) if (one.version > version) yield one;
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

  /** Stored versions from one on. Where it begins is found by halving over the seqs. */
  private *storedFrom(key: string, version: number): Generator<KeyVersion> {
    const newest = this.storedNewest(key);
    if (newest === undefined || version > newest.version) return;
    const before = lastWhere(
      newest.seq,
      (seq) => (this.records.versionAt(this.log, key, seq)?.version ?? 0) < version,
    );
    for (const stored of this.records.versionsFrom(this.log, key, before + 1)) {
      if (stored.version >= version) yield stored;
    }
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
