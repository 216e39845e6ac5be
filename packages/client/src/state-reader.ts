import { asDaybookError } from "./errors.js";
import type { StateDiff } from "./state-wire.js";

/** A point of a log: its number there, or a time, which means everything up to then. */
export type StatePoint = number | Date | string;

export interface StateListOptions {
  /** Only keys that begin so. */
  readonly prefix?: string;
  /** The state as of this point; left out: now. */
  readonly at?: StatePoint;
}

export interface StateDiffOptions {
  /** Left out: the beginning. */
  readonly from?: StatePoint;
  /** Left out: now. */
  readonly to?: StatePoint;
  /** Only keys that begin so. */
  readonly prefix?: string;
}

/** Where the calls are: what follows the session or the agent in the path. */
interface StatePaths {
  readonly state: string;
  readonly diff: string;
}

const PAGE_MAX = 1_000;
/** `fetch` takes them out of a path, whatever their spelling. */
const NOT_IN_PATHS: ReadonlySet<string> = new Set(["", ".", ".."]);

interface VersionPage<Entry> {
  readonly versions: readonly Entry[];
  readonly next_cursor: number | null;
}

/** Reads a state, be it of a session or of an agent: the calls are the same. */
export class StateReader<Entry extends { readonly version: number }> {
  constructor(
    private readonly read: (rest: string) => Promise<unknown>,
    private readonly paths: StatePaths,
  ) {}

  async get(
    key: string,
    options: { readonly at?: StatePoint; readonly version?: number },
  ): Promise<Entry | undefined> {
    try {
      // Not in the path, which cannot carry every key.
      return (await this.read(this.paths.state + queryOf({ key, ...options }))) as Entry;
    } catch (error) {
      if (asDaybookError(error).code === "state_key_not_found") return undefined;
      throw error;
    }
  }

  async *list(
    options: StateListOptions & { readonly keys_only?: boolean },
  ): AsyncGenerator<Entry, void, undefined> {
    let cursor: string | undefined;
    do {
      // The cursor holds the point of the first page, so that all pages show one and the same state.
      const query = queryOf({ ...options, cursor, limit: PAGE_MAX });
      const page = (await this.read(this.paths.state + query)) as {
        readonly state: readonly Entry[];
        readonly next_cursor: string | null;
      };
      yield* page.state;
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined);
  }

  async *history(key: string): AsyncGenerator<Entry, void, undefined> {
    if (NOT_IN_PATHS.has(key)) return yield* this.versions(key);
    const path = `${this.paths.state}/${encodeURIComponent(key)}/history`;
    for (let cursor: number | null = 0; cursor !== null;) {
      const page = (await this.read(path + queryOf({ cursor, limit: PAGE_MAX }))) as VersionPage<Entry>;
      yield* page.versions;
      // A page of large values ends early: only an empty one is the end.
      cursor = page.next_cursor;
    }
  }

  /** A history in many calls. */
  private async *versions(key: string): AsyncGenerator<Entry, void, undefined> {
    for (let version = 1; ; version++) {
      const entry = await this.get(key, { version });
      if (entry === undefined) return;
      yield entry;
    }
  }

  async diff(options: StateDiffOptions): Promise<StateDiff<Entry>> {
    return (await this.read(this.paths.diff + queryOf({ ...options }))) as StateDiff<Entry>;
  }
}

/** A query of what is not undefined. */
export function queryOf(parameters: Readonly<Record<string, StatePoint | boolean | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) query.set(name, value instanceof Date ? value.toISOString() : String(value));
  return `?${query.toString()}`;
}
