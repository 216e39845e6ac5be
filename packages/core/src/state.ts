import {
  DaybookError,
  type JsonShape,
  LIMITS,
  parseJson,
  type RawJson,
  whyNotPlainText,
} from "@daybook/protocol";
import type { StateOperation } from "./entry.js";

/** A key's newest version, as decide needs it. */
export interface KeyVersion {
  /** Rises by one with every set or delete of the key, from 1. */
  readonly version: number;
  /** The seq of the event that made it. */
  readonly seq: number;
  /** A tombstone: the key was deleted at this version. */
  readonly deleted: boolean;
}

/** The state part of an event, read and checked. */
export interface StateChange {
  readonly operations: readonly StateOperation[];
  readonly conditions: ReadonlyMap<string, number>;
  /** The exact text, as it is stored in the event. */
  readonly text: string;
}

const SHAPE: JsonShape = {
  members: { set: { values: "raw" }, delete: "value", if: { values: "value" }, operations: "value" },
};

/** What it is if nothing is wrong with it. */
interface StateInput {
  readonly set?: Map<string, RawJson>;
  readonly delete?: readonly string[];
  readonly if?: Map<string, number>;
}

/** Reads an event's `state`. @throws DaybookError invalid_event naming the member. */
export function readStateChange(state: RawJson): StateChange {
  const input = parseJson(state.text, SHAPE, { depthMax: LIMITS.jsonDepthMax }) as StateInput;
  // In a stored state it means something: text that was ignored here must not come to count there.
  if ("operations" in input) invalid("state has no member operations; it takes set, delete and if");
  const operations: StateOperation[] = [];
  for (const [key, value] of entriesOf(input.set, "state.set")) {
    operations.push({ kind: "set", key: checkedKey(key, "state.set") });
    if (byteLength(value.text) > LIMITS.stateValueBytesMax) invalid(`state.set.${key} is over 1 MiB`);
  }
  for (const key of listOf(input.delete)) {
    if (input.set?.has(key) === true) invalid(`state.set and state.delete both name ${JSON.stringify(key)}`);
    operations.push({ kind: "delete", key: checkedKey(key, "state.delete") });
  }
  const conditions = new Map<string, number>();
  for (const [key, version] of entriesOf(input.if, "state.if")) {
    if (!Number.isSafeInteger(version) || version < 0) invalid(`state.if must give integers ≥ 0`);
    conditions.set(checkedKey(key, "state.if"), version);
  }
  return { operations, conditions, text: state.text };
}

/** The keys a change touches or compares. */
export function keysOf(change: StateChange): string[] {
  return [...change.operations.map((operation) => operation.key), ...change.conditions.keys()];
}

/** The first key whose version is not what the change expects; 0 means: must not exist. */
export function brokenCondition(
  change: StateChange,
  current: (key: string) => KeyVersion | undefined,
): { key: string; version: number; seq: number } | undefined {
  for (const [key, expected] of change.conditions) {
    const known = current(key);
    const exists = known !== undefined && !known.deleted;
    const holds = expected === 0 ? !exists : known?.version === expected;
    if (!holds) return { key, version: known?.version ?? 0, seq: known?.seq ?? 0 };
  }
  return undefined;
}

/** A key's version after one more operation at `seq`. */
export function nextVersion(
  known: KeyVersion | undefined,
  operation: StateOperation,
  seq: number,
): KeyVersion {
  return { version: (known?.version ?? 0) + 1, seq, deleted: operation.kind === "delete" };
}

function entriesOf<Value>(map: Map<string, Value> | undefined, place: string): Iterable<[string, Value]> {
  if (map === undefined) return [];
  // The parser leaves a value of another kind as it is, for us to say so.
  if (!(map instanceof Map)) invalid(`${place} must be an object`);
  return map;
}

function listOf(keys: unknown): string[] {
  if (keys === undefined) return [];
  if (!Array.isArray(keys)) invalid("state.delete must be an array of keys");
  return keys.map((key: unknown) =>
    typeof key === "string" ? key : invalid("state.delete must hold strings"),
  );
}

function checkedKey(key: string, place: string): string {
  if (key.length === 0) invalid(`${place} has an empty key`);
  const why = whyNotPlainText(key);
  if (why !== undefined) invalid(`${place} has a key that ${why}`);
  if (byteLength(key) > LIMITS.stateKeyBytesMax)
    invalid(`${place} has a key over ${LIMITS.stateKeyBytesMax} bytes`);
  return key;
}

/** Below 0 if the one stands before the other: by the bytes of their UTF-8, without making them. */
export function compareKeys(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let index = 0; index < length; index++) {
    const [left, right] = [one.charCodeAt(index), other.charCodeAt(index)];
    if (left !== right) return byteOrder(left) - byteOrder(right);
  }
  return one.length - other.length;
}

/** Halves of a pair stand for four bytes, and so behind whatever takes three. */
const byteOrder = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

/** UTF-8 bytes of a text, without making them. */
export function byteLength(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    bytes += unit < 0x800 ? 1 : 2;
    if (unit >= 0xd800 && unit < 0xdc00) index++;
  }
  return bytes;
}

function invalid(reason: string): never {
  throw new DaybookError("invalid_event", `${reason}.`);
}
