import type { Decision, Facts, ForkedFrom, Head, LogId, Needs, SessionHeader } from "@daybook/core";

/** The moment a decision is made, as the engine sees it: never earlier than the moment of the decision before. */
export interface Now {
  readonly ms: number;
  /** The same, as RFC 3339 in UTC. */
  readonly iso: string;
}

/**
 * One stored event. `bytes` are its JSON exactly as stored: `{"seq":…}`. The same object is handed to every reader, so
 * that a dialect that frames it for a socket can leave the frame here and make it once.
 */
export class StoredEvent {
  socketFrame: Buffer | undefined = undefined;

  constructor(
    readonly seq: number,
    readonly bytes: Buffer,
  ) {}
}

export interface Page {
  /** Contiguous, ascending, starting right after the cursor. Empty: the reader has all there is. */
  readonly events: readonly StoredEvent[];
  /** The last readable seq when this page was read. */
  readonly lastSeq: number;
}

export interface ReadLimits {
  readonly eventsMax: number;
  /** A page ends once it holds this many bytes; it always holds at least one event when there is one. */
  readonly bytesMax: number;
}

/** A session as the catalog shows it. */
export interface Session {
  readonly id: LogId;
  readonly head: Head;
  readonly header: SessionHeader;
}

export interface ListQuery {
  readonly tenant: string;
  readonly archived: "no" | "yes" | "all";
  /** Top-level metadata members and their values as text; all must match. */
  readonly metadata: readonly (readonly [name: string, value: string])[];
  /** Forks of this session only. */
  readonly forkedFrom?: string;
  readonly sort: "id" | "created" | "updated";
  readonly order: "asc" | "desc";
  /** Where the page before ended, as it said. */
  readonly after?: ListPosition;
  readonly limit: number;
}

/** A place in a sorted list: the sort value and, to break ties, the id. */
export interface ListPosition {
  readonly value: number;
  readonly id: string;
}

export interface ListPage {
  readonly sessions: readonly Session[];
  /** Absent when the list ends here. */
  readonly next?: ListPosition;
}

/** One version of a state key. */
export interface StateEntry {
  readonly key: string;
  readonly version: number;
  /** The event that made it. */
  readonly seq: number;
  /** A tombstone has no value. */
  readonly deleted: boolean;
  /** The exact JSON text that was set. */
  readonly value?: string;
}

export interface StateQuery {
  readonly prefix?: string;
  /** State as of this seq; left out: as of now. */
  readonly atSeq?: number;
  /** The last key of the page before. */
  readonly after?: string;
  readonly limit: number;
  /** Leave the values out: a list of names should not cost reading them. */
  readonly keysOnly?: boolean;
}

export interface StatePage {
  /** Keys that exist at that seq, in order. */
  readonly entries: readonly StateEntry[];
  readonly atSeq: number;
  readonly next?: string;
}

/** Which messages: those that end `offset` messages before the newest, or those that begin at a seq. */
export type MessageQuery = { readonly limit: number } & (
  { readonly offset: number } | { readonly fromSeq: number }
);

/** One change of a session as a whole. Of an erased session only kind, id and time are left. */
export interface LifecycleItem {
  readonly kind:
    "created" | "updated" | "archived" | "unarchived" | "closed" | "reopened" | "deleted" | "forked";
  readonly session: LogId;
  readonly atMs: number;
  readonly version: number;
  /** For created and updated. */
  readonly header?: SessionHeader;
  /** For the created session that is a fork. */
  readonly forkedFrom?: ForkedFrom;
  /** For forked: the new session, and the last seq it shares. */
  readonly fork?: { readonly id: string; readonly seq: number };
  /** Where to go on after this item. */
  readonly place: string;
}

export interface LifecycleQuery {
  /** A place; left out: from the beginning. */
  readonly after?: string;
  readonly limit: number;
}

export interface LifecyclePage {
  readonly items: readonly LifecycleItem[];
  /** The end of the feed when this was read, for those who only want what comes. */
  readonly end: string;
}

/**
 * Stores logs. An engine knows no rules: `decide` is asked, and what it says is done in one atomic step.
 *
 * What every engine promises is written as tests in `contract/`.
 */
export interface Engine {
  /** What this engine can do; callers ask here and never which engine it is. */
  readonly features: { readonly durable: boolean };

  /**
   * Loads the named facts, runs `decide` on the head and these, stores what it commits — entries for other logs, too,
   * all of it or nothing — and resolves with its answer once everything the answer rests on is durable. `decide` may run more than once and must be pure.
   *
   * @throws DaybookError what `decide` rejected with; `event_store_backpressure` when the queue is full (nothing was
   *   stored); `storage_unavailable` when the store refused or failed.
   */
  transact<Answer>(
    id: LogId,
    needs: Needs,
    decide: (head: Head | undefined, facts: Facts, now: Now) => Decision<Answer>,
  ): Promise<Answer>;

  /**
   * Reads durable events with seq > `afterSeq`. Answers at once, without a promise, when they are in memory: a
   * thousand followers of one session must not cost a thousand promises an event.
   *
   * @throws DaybookError `session_not_found` when there is no such log or it was erased.
   */
  read(id: LogId, afterSeq: number, limits: ReadLimits): Page | Promise<Page>;

  /** The durable head. Undefined when the log never was; a deleted one says so in its status. */
  head(id: LogId): Head | undefined;

  /**
   * Calls back after the log's durable head moved: creation and deletion too. A hint: it may come late, twice or for
   * nothing.
   */
  watch(id: LogId, moved: () => void): () => void;

  /** One session with its header. Undefined when there is none or it was deleted. */
  session(id: LogId): Promise<Session | undefined>;

  /** A page of a log's state as of a seq. @throws DaybookError session_not_found */
  state(id: LogId, query: StateQuery): Promise<StatePage>;

  /** One key as of a seq, or one version of it; undefined when it was never written by then. */
  stateKey(id: LogId, key: string, at: { atSeq?: number; version?: number }): Promise<StateEntry | undefined>;

  /** Versions of a key after `after`, oldest first, tombstones too. */
  stateHistory(
    id: LogId,
    key: string,
    page: { after: number; limit: number },
  ): Promise<readonly StateEntry[]>;

  /**
   * The commits that changed keys of one owner (`ownerOfKey`) with `after` < seq ≤ `through`, ascending: a page, at
   * least one if there is one. Only logs that are no sessions keep this. @throws DaybookError session_not_found
   */
  commitsOf(
    id: LogId,
    owner: string,
    range: { readonly after: number; readonly through: number },
    limits: ReadLimits,
  ): Promise<readonly StoredEvent[]>;

  /**
   * A log's durable messages, ascending. A page is found and read in time that does not grow with how many messages there
   * are, nor with how many other events lie between them; little of it is in memory at once.
   * @throws DaybookError session_not_found
   */
  messages(id: LogId, query: MessageQuery): AsyncIterable<StoredEvent>;

  /**
   * What happened to a tenant's sessions as a whole, in the order of the log, after a place that this call gave out
   * before; at least as new as what was acknowledged before the call. Waits for nothing.
   */
  lifecycle(tenant: string, query: LifecycleQuery): Promise<LifecyclePage>;

  /** Calls back after the tenant's lifecycle feed got longer. A hint, like `watch`. */
  watchLifecycle(tenant: string, moved: () => void): () => void;

  /** A page of a tenant's sessions, at least as new as what was acknowledged before the call. */
  list(query: ListQuery): Promise<ListPage>;

  /** Finishes what is in flight, then closes. Later calls are refused with `shutting_down`. */
  close(): Promise<void>;
}
