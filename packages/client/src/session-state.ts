import type { SessionApi } from "./session-api.js";
import {
  type StateDiffOptions,
  type StateListOptions,
  type StatePoint,
  StateReader,
} from "./state-reader.js";
import type { StateDiff, StateEntry } from "./state-wire.js";

/** The state of a session as of one point. */
export interface SessionStateAt {
  /** A key as it was then; undefined if it did not exist. */
  get(key: string): Promise<StateEntry | undefined>;
  /** The keys that existed then, in order. */
  list(options?: { readonly prefix?: string }): AsyncGenerator<StateEntry, void, undefined>;
}

/**
 * What a session knows: keys that its events set and delete, each change at the seq of its event. `session.state`.
 *
 * @example
 * const { seq } = await session.append({ text: "Started", state: { set: { "plan/step": 1 }, if: { "plan/step": 0 } } });
 * await session.append({ text: "Went on", state: { set: { "plan/step": 2 } } });
 * console.log((await session.state.get("plan/step"))?.value, (await session.state.at(seq).get("plan/step"))?.value); // 2 1
 */
export class SessionState {
  private readonly reader: StateReader<StateEntry>;

  constructor(api: SessionApi) {
    const paths = { state: "/state", diff: "/state-diff" };
    this.reader = new StateReader((rest) => api.call("GET", rest), paths);
  }

  /**
   * A key, as it is now.
   *
   * @param options `at` an earlier point; or this `version`, be it a tombstone
   * @returns undefined if it does not exist
   * @throws DaybookError invalid_cursor, if `at` is a seq beyond the end
   */
  get(
    key: string,
    options: { readonly at?: StatePoint; readonly version?: number } = {},
  ): Promise<StateEntry | undefined> {
    return this.reader.get(key, options);
  }

  /**
   * The keys that exist, in the order of their bytes; all as of one seq, however long the loop takes.
   *
   * @example
   * for await (const { key, value } of session.state.list({ prefix: "plan/" })) console.log(key, value);
   */
  list(options: StateListOptions = {}): AsyncGenerator<StateEntry, void, undefined> {
    return this.reader.list(options);
  }

  /** All versions of a key, oldest first, tombstones too. */
  history(key: string): AsyncGenerator<StateEntry, void, undefined> {
    return this.reader.history(key);
  }

  /**
   * What changed between two points.
   *
   * @example
   * const { added, changed, removed } = await session.state.diff({ from: 1, to: 2 });
   */
  diff(options: StateDiffOptions = {}): Promise<StateDiff<StateEntry>> {
    return this.reader.diff(options);
  }

  /**
   * The state as of a seq, after its event; or as of a time, after all events inserted by then.
   *
   * @example
   * for await (const { key, value } of session.state.at(1).list()) console.log(key, value);
   */
  at(point: StatePoint): SessionStateAt {
    return {
      get: (key) => this.get(key, { at: point }),
      list: (options) => this.list({ ...options, at: point }),
    };
  }
}
