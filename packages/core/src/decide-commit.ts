import { applyEntry, type HeaderEntry } from "./entry.js";
import type { Decision, Facts, Needs } from "./decision.js";
import { type Appended, decideAppend } from "./decide-append.js";
import type { NewEvent } from "./event-json.js";
import type { Head, LogId } from "./head.js";
import { seqOfPair } from "./producer-window.js";
import { type KeyVersion, nextVersion } from "./state.js";
import { encodeOperations, operationsIn, type StoredOperation } from "./stored-state.js";

/** One write or delete; without a value it is a delete. */
export interface CommitOperation {
  readonly key: string;
  /** The exact text of the value. */
  readonly value?: string;
}

/** Operations that take effect together, as one event of a log that holds state and nothing else. */
export interface Commit {
  readonly log: LogId;
  readonly id: string;
  readonly actor: string;
  readonly operations: readonly CommitOperation[];
  /** Versions of keys before any of the operations; 0: must not exist. */
  readonly conditions: ReadonlyMap<string, number>;
  /** Makes retries safe, as it does for events. */
  readonly producer: { readonly id: string; readonly seq: number } | null;
}

/** The type of the events that commits are. */
const COMMIT_TYPE = "state.commit";

/** Makes the log before its first commit, for those who want to follow it. A second time writes nothing. */
export function decideOpenLog(head: Head | undefined, log: LogId): Decision<void> {
  if (head !== undefined) return { kind: "answer", answer: undefined };
  return { kind: "commit", entries: [createOf(log)], answer: undefined };
}

/** The facts `decideCommit` will ask for. */
export function needsOfCommit({ operations, conditions, producer }: Commit): Needs {
  return {
    pairs: producer === null ? [] : [{ producerId: producer.id, producerSeq: producer.seq }],
    keys: [...operations.map(({ key }) => key), ...conditions.keys()],
  };
}

/**
 * Commits operations in their order, all or none; the first commit makes the log. The same producer pair with the same
 * operations answers the first one's seq.
 */
export function decideCommit(
  head: Head | undefined,
  facts: Facts,
  command: Commit,
  now: { readonly ms: number; readonly iso: string },
): Decision<Appended> {
  const create = createOf(command.log);
  const decision = decideAppend(
    head ?? applyEntry(undefined, create, now.ms),
    facts,
    { events: [eventOf(command, facts)], batch: false },
    now,
  );
  if (head !== undefined || decision.kind !== "commit") return decision;
  return { ...decision, entries: [create, ...decision.entries] };
}

function createOf(session: LogId): HeaderEntry {
  const creator = { type: "service", id: "daybook" };
  return { kind: "create", session, header: { creator, title: null, metadata: "{}" } };
}

function eventOf(command: Commit, facts: Facts): NewEvent {
  const { id, actor, operations, conditions, producer } = command;
  return {
    type: COMMIT_TYPE,
    payload: `{"txn_id":${JSON.stringify(id)}}`,
    actor,
    producer,
    state: {
      operations: operations.map(({ key, value }) => ({ kind: value === undefined ? "delete" : "set", key })),
      conditions,
      text: encodeOperations(versioned(operations, facts, stored(producer, facts))),
    },
  };
}

/** The operations of the commit that this producer pair already became. */
function stored(producer: Commit["producer"], facts: Facts): readonly StoredOperation[] | undefined {
  const window = producer === null ? undefined : facts.producer(producer.id);
  const seq = window === undefined || producer === null ? undefined : seqOfPair(window, producer.seq);
  if (seq === undefined) return undefined;
  return operationsIn(facts.eventJson(seq));
}

/** Each operation with the version it makes; or, sent again, with the one it made: an honest retry reads the same. */
function versioned(
  operations: readonly CommitOperation[],
  facts: Facts,
  before: readonly StoredOperation[] | undefined,
): StoredOperation[] {
  const made = new Map<string, KeyVersion>();
  return operations.map((operation, index) => {
    const { key, value } = operation;
    const kind = value === undefined ? "delete" : "set";
    const next = nextVersion(made.get(key) ?? facts.key(key), { kind, key }, 0);
    made.set(key, next);
    const version = before === undefined ? next.version : (before[index]?.version ?? 0);
    return { ...operation, kind, version };
  });
}
