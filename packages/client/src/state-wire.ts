import type { JsonObject } from "./wire.js";

/** A version of a key of a session's state. */
export interface StateEntry<Value = unknown> {
  readonly key: string;
  /** 1, 2, 3 … with every set and delete of the key. */
  readonly version: number;
  /** The event that made this version. */
  readonly seq: number;
  /** A tombstone: the key was deleted. */
  readonly deleted: boolean;
  /** Absent in a tombstone. */
  readonly value?: Value;
}

/** A version of a record of an agent's state. */
export interface AgentStateEntry<Value = JsonObject> {
  readonly key: string;
  /** 1, 2, 3 … with every write and delete of the record. */
  readonly version: number;
  /** The commit that made this version. */
  readonly commit_ts: number;
  /** A tombstone: the record was deleted. */
  readonly deleted: boolean;
  /** Absent in a tombstone. */
  readonly value?: Value;
}

/** What is another between two points. */
export interface StateDiff<Entry> {
  readonly added: readonly Entry[];
  readonly changed: readonly { readonly key: string; readonly before: Entry; readonly after: Entry }[];
  /** As they were before. */
  readonly removed: readonly Entry[];
}

/** A committed transaction, with what it did to one agent's records. */
export interface AgentCommit {
  readonly txn_id: string;
  /** Rises with every commit of the tenant. */
  readonly commit_ts: number;
  /** RFC 3339, UTC. */
  readonly committed_at: string;
  /** `service:backend`. */
  readonly actor: string;
  readonly operations: readonly Omit<AgentStateEntry, "commit_ts">[];
}
