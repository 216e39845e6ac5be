import { DaybookError, LIMITS, whyNotAnId } from "@daybook/protocol";
import type { ListPosition, ListQuery } from "@daybook/engine";
import type { Query } from "./query.js";

const ARCHIVED = { false: "no", true: "yes", all: "all" } as const;
const SORTS = ["id", "created", "updated"] as const;
const ORDERS = ["asc", "desc"] as const;

/** The query of `GET /v1/sessions`. Parameters that are not ours are ignored, so that clients may add their own. */
export function readListQuery(query: Query, tenant: string): ListQuery {
  query.refuseBad("invalid_list_query");
  const sort = choice(query, "sort", SORTS) ?? "id";
  const order = choice(query, "order", ORDERS) ?? "asc";
  const archived = choice(query, "archived", Object.keys(ARCHIVED) as (keyof typeof ARCHIVED)[]) ?? "false";
  const limit = query.integer("limit", "invalid_limit", { minimum: 1, maximum: LIMITS.pageSizeMax });
  const cursor = query.one("cursor", "invalid_cursor");
  const forkedFrom = query.one("forked_from", "invalid_list_query");
  const why = forkedFrom === undefined ? undefined : whyNotAnId(forkedFrom);
  if (why !== undefined)
    throw new DaybookError("invalid_list_query", `forked_from must be a session id: it ${why}.`);
  return {
    tenant,
    archived: ARCHIVED[archived],
    metadata: metadataFilters(query),
    ...(forkedFrom !== undefined && { forkedFrom }),
    sort,
    order,
    limit: limit ?? LIMITS.pageSizeDefault,
    ...(cursor !== undefined && { after: decodeListCursor(cursor, { sort, order }) }),
  };
}

/** `metadata.KEY=VALUE` or `metadata[KEY]=VALUE`: the rest of the name is the key, dots and all. */
function metadataFilters(query: Query): [string, string][] {
  const filters: [string, string][] = [];
  for (const [name, value] of query.all()) {
    const bracketed = /^metadata\[(.*)\]$/s.exec(name)?.[1];
    const key = bracketed ?? (name.startsWith("metadata.") ? name.slice("metadata.".length) : undefined);
    if (key === undefined && name !== "metadata") continue;
    if (key === undefined || key === "") {
      throw new DaybookError("invalid_list_query", "Filter by metadata as metadata.KEY=VALUE.");
    }
    filters.push([key, value]);
  }
  return filters;
}

function choice<Choice extends string>(
  query: Query,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const given = query.one(name, "invalid_list_query");
  if (given === undefined) return undefined;
  const found = choices.find((known) => known === given);
  if (found !== undefined) return found;
  const message = `${name} must be one of ${choices.join(", ")}, not ${JSON.stringify(given.slice(0, 40))}.`;
  throw new DaybookError("invalid_list_query", message);
}

/** Opaque to clients: sort, order and the last entry of the page before. */
export function encodeListCursor(
  position: ListPosition,
  { sort, order }: Pick<ListQuery, "sort" | "order">,
): string {
  return Buffer.from(JSON.stringify([sort, order, position.value, position.id])).toString("base64url");
}

function decodeListCursor(cursor: string, { sort, order }: Pick<ListQuery, "sort" | "order">): ListPosition {
  const parts = decodedParts(cursor);
  const [hisSort, hisOrder, value, id] = parts;
  const good = parts.length === 4 && isCount(value) && typeof id === "string" && whyNotAnId(id) === undefined;
  if (!good) {
    throw new DaybookError("invalid_cursor", "cursor must be a next_cursor that a list answered with.");
  }
  if (hisSort !== sort || hisOrder !== order) {
    throw new DaybookError("invalid_cursor", "cursor belongs to a list with another sort or order.");
  }
  return { value, id };
}

/** What the index is sorted by: a time, or 0. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function decodedParts(cursor: string): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
    return Array.isArray(value) ? value : [];
  } catch {
    // Not one of ours; the caller says so.
    return [];
  }
}
