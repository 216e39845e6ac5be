import { type JsonShape, parseJson, type RawJson } from "@daybook/protocol";
import type { StateOperation } from "./entry.js";

/**
 * What an event's stored `state` did, one operation after the other. A session's event has `set` and `delete`, as its
 * writer sent them; a commit has a list, in which a key may stand twice, each time with the version it made:
 *
 *     {"set":{KEY:VALUE,…},"delete":[KEY,…]}
 *     {"operations":[{"key":KEY,"version":1,"value":VALUE},{"key":KEY,"version":2}]}      no value: a delete
 */
export interface StoredOperation {
  readonly kind: StateOperation["kind"];
  readonly key: string;
  /** Only a commit says it. */
  readonly version?: number;
  /** The exact text that was set. */
  readonly value?: string;
}

const SHAPE: JsonShape = {
  members: {
    set: { values: "raw" },
    delete: "value",
    operations: { items: { members: { key: "value", version: "value", value: "raw" } } },
  },
};
/** Deeper than anything that was let in. */
const DEPTH = { depthMax: 1000 };

interface Stored {
  readonly set?: ReadonlyMap<string, RawJson>;
  readonly delete?: readonly string[];
  readonly operations?: readonly {
    readonly key: string;
    readonly version: number;
    readonly value?: RawJson;
  }[];
}

const IN_EVENT: JsonShape = { members: { state: SHAPE } };

/** Reads a stored `state`. It was checked when it came in, so it is trusted. */
export function storedOperations(state: RawJson): StoredOperation[] {
  return operationsOf(parseJson(state.text, SHAPE, DEPTH) as Stored);
}

/** What a stored event did to the state, without reading the rest of it. */
export function operationsIn(eventJson: string): StoredOperation[] {
  const { state = {} } = parseJson(eventJson, IN_EVENT, DEPTH) as { state?: Stored };
  return operationsOf(state);
}

function operationsOf(stored: Stored): StoredOperation[] {
  const operations: StoredOperation[] = [];
  for (const [key, value] of stored.set ?? []) operations.push({ kind: "set", key, value: value.text });
  for (const key of stored.delete ?? []) operations.push({ kind: "delete", key });
  for (const { key, version, value } of stored.operations ?? []) {
    operations.push(
      value === undefined
        ? { kind: "delete", key, version }
        : { kind: "set", key, version, value: value.text },
    );
  }
  return operations;
}

/** A commit's `state`, as `storedOperations` reads it. */
export function encodeOperations(operations: readonly StoredOperation[]): string {
  const texts = operations.map(
    ({ key, version, value }) =>
      `{"key":${JSON.stringify(key)},"version":${version ?? 0}${value === undefined ? "" : `,"value":${value}`}}`,
  );
  return `{"operations":[${texts.join(",")}]}`;
}
