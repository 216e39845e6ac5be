import type { ListPosition, ListQuery } from "@daybook/engine";
import { indexable } from "@daybook/core";
import { type Key, listKey, memberDigest, metadataKey, parentDigest, SORTS } from "./records.js";
import type { Views } from "./views.js";

/** Found log numbers, in list order, and where to go on. */
export interface FoundLogs {
  readonly logs: readonly number[];
  readonly next?: ListPosition;
}

/** Entries looked at before a page ends early with a cursor: a filter that matches nothing must not stall others. */
const EXAMINED_MAX = 10_000;

/**
 * Walks one index: by metadata when that gives the order asked for, else the sorted list, testing the filters entry
 * by entry. Archived and other sessions stand in two ranges, which `archived: all` merges.
 */
export function findLogs(views: Views, query: ListQuery): FoundLogs {
  const members = query.metadata.map(([name, value]) => indexable(name, value));
  // Too large to be in the index: nothing was ever filed under it.
  if (members.includes(undefined)) return { logs: [] };
  const filters = members.filter((member) => member !== undefined).map(memberDigest);
  // First of all: it is the one with the fewest sessions.
  if (query.forkedFrom !== undefined) filters.unshift(parentDigest(query.forkedFrom));
  const [first, ...others] = filters;
  const byFilter = first !== undefined && query.sort === "id";
  const tested = byFilter ? others : filters;
  const flags = query.archived === "all" ? [false, true] : [query.archived === "yes"];
  const ranges = flags.map((archived) => walk(views, query, archived, byFilter ? first : undefined));
  const logs: number[] = [];
  let examined = 0;
  let last: ListPosition | undefined;
  for (const entry of merged(ranges, query.order)) {
    if (logs.length === query.limit || examined++ === EXAMINED_MAX)
      return last === undefined ? { logs } : { logs, next: last };
    last = { value: entry.value, id: entry.id };
    const matches = tested.every((filter) => hasMember(views, query.tenant, filter, entry));
    if (matches) logs.push(entry.log);
  }
  return { logs };
}

interface Entry {
  readonly archived: boolean;
  readonly value: number;
  readonly id: string;
  readonly log: number;
}

function* walk(
  views: Views,
  query: ListQuery,
  archived: boolean,
  filter: string | undefined,
): Generator<Entry> {
  const { tenant, sort, after } = query;
  const prefix: Key =
    filter === undefined
      ? ["l", tenant, archived ? 1 : 0, SORTS[sort]]
      : ["m", tenant, filter, archived ? 1 : 0];
  const options: { reverse: boolean; after?: Key } = { reverse: query.order === "desc" };
  if (after !== undefined) {
    options.after =
      filter === undefined
        ? listKey(tenant, { archived, sort, value: after.value, id: after.id })
        : metadataKey(tenant, filter, { archived, id: after.id });
  }
  for (const { key, value } of views.within(prefix, options)) {
    const id = key.at(-1) as string;
    yield { archived, value: filter === undefined ? (key[4] as number) : 0, id, log: value as number };
  }
}

/** Merges sorted walks into one. */
function* merged(walks: Generator<Entry>[], order: "asc" | "desc"): Generator<Entry> {
  const heads = walks.map((walk) => walk.next());
  const sign = order === "asc" ? 1 : -1;
  for (;;) {
    let best = -1;
    for (const [index, head] of heads.entries()) {
      if (head.done === true) continue;
      const other = heads[best];
      if (other === undefined || other.done === true || sign * compare(head.value, other.value) < 0)
        best = index;
    }
    const head = heads[best];
    const walk = walks[best];
    if (head === undefined || head.done === true || walk === undefined) return;
    yield head.value;
    heads[best] = walk.next();
  }
}

function compare(one: Entry, other: Entry): number {
  // As the index orders them: by value, then by the bytes of the id.
  return one.value - other.value || Buffer.compare(Buffer.from(one.id), Buffer.from(other.id));
}

function hasMember(views: Views, tenant: string, filter: string, { archived, id }: Entry): boolean {
  return views.get(metadataKey(tenant, filter, { archived, id })) !== undefined;
}
