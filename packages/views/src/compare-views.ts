import { decodeHeadRecord, type Key } from "./records.js";
import { LogId } from "@daybook/core";
import type { Views } from "./views.js";

/** Differences said at most: the first ones tell what is wrong. */
const DIFFERENCES_MAX = 20;

/** Kinds of records that are kept by log number. */
const OF_A_LOG = new Set(["h", "f", "p", "k", "v", "a", "o", "q", "r", "i", "z"]);

/**
 * Compares two sets of views record by record. Of erased logs only the name counts: how far their erasure has come is
 * no fact of the log.
 */
export function compareViews(expected: Views, actual: Views): { records: number; differences: string[] } {
  const erased = new Set([...erasedLogs(expected), ...erasedLogs(actual)]);
  const [one, other] = [comparable(expected, erased), comparable(actual, erased)];
  const differences: string[] = [];
  let records = 0;
  while (differences.length < DIFFERENCES_MAX) {
    const [left, right] = [one.next(), other.next()];
    if (left.done === true && right.done === true) break;
    records++;
    if (left.value === right.value) continue;
    differences.push(`expected ${shown(left)}, found ${shown(right)}`);
    if (left.done === true || right.done === true) break;
  }
  return { records, differences };
}

function* comparable(views: Views, erased: ReadonlySet<number>): Generator<string, undefined> {
  for (const { key, value } of views.within([])) {
    if (key[0] === "meta") continue;
    if (OF_A_LOG.has(String(key[0])) && erased.has(key[1] as number)) continue;
    // Of an erased session the feed says only what happened, not with which content.
    if (key[0] === "y" && erased.has((value as number[])[0] ?? 0)) continue;
    yield JSON.stringify([key, value]);
  }
  return undefined;
}

function* erasedLogs(views: Views): Generator<number> {
  for (const { key, value } of views.within(["h"] as Key)) {
    const { head } = decodeHeadRecord(value as never, (tenant, id) => new LogId(tenant, id));
    if (head.status === "deleted") yield key[1] as number;
  }
}

function shown(result: IteratorResult<string, undefined>): string {
  return result.done === true ? "the end" : result.value.slice(0, 300);
}
