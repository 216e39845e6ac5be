import type { StateEntry } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import type { StateDifference } from "../service/state-diff.js";

/** What changed, by kind; `entryJson` shows one side of a change. */
export function diffJson(
  differences: readonly StateDifference[],
  entryJson: (entry: StateEntry) => string,
): string {
  const of = (kind: StateDifference["kind"], show: (one: StateDifference) => string): string =>
    differences
      .filter((one) => one.kind === kind)
      .map(show)
      .join(",");
  const entry = (one: StateEntry | undefined): string => (one === undefined ? "null" : entryJson(one));
  const changed = of(
    "changed",
    ({ key, before, after }) =>
      `{"key":${JSON.stringify(key)},"before":${entry(before)},"after":${entry(after)}}`,
  );
  return `{"added":[${of("added", ({ after }) => entry(after))}],"changed":[${changed}],"removed":[${of("removed", ({ before }) => entry(before))}]}`;
}

/** Opaque to clients: all pages of one reading stand at one seq. */
export function encodeAfter(atSeq: number, key: string): string {
  return Buffer.from(JSON.stringify([atSeq, key])).toString("base64url");
}

export function decodeAfter(cursor: string): { atSeq: number; key: string } {
  try {
    const [atSeq, key] = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")) as unknown[];
    if (Number.isSafeInteger(atSeq) && typeof key === "string") return { atSeq: atSeq as number, key };
  } catch {
    // Not one of ours: said below.
  }
  throw new DaybookError("invalid_cursor", "cursor must be a next_cursor that this list answered with.");
}
