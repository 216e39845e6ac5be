import type { LogId } from "@daybook/core";
import type { StateEntry } from "@daybook/engine";
import { DaybookError, LIMITS } from "@daybook/protocol";
import { Type } from "typebox";
import type { Access } from "../http/access.js";
import { type Call, type QueryParameter, type Route, sendJson } from "../http/route.js";
import { readKey, readPrefix } from "../service/state-names.js";
import type { SessionService } from "../service/session-service.js";
import { StateService } from "../service/state-service.js";
import { decodeAfter, diffJson, encodeAfter } from "./state-json.js";

const READ: Access = { scope: "session:read", locked: "own" };
const ERRORS = [
  "invalid_cursor",
  "invalid_limit",
  "invalid_request",
  "invalid_session_id",
  "session_not_found",
  "storage_unavailable",
];

const Entry = Type.Object({
  key: Type.String(),
  version: Type.Integer({ minimum: 1, description: "Rises by one with every set or delete of the key." }),
  seq: Type.Integer({ minimum: 1, description: "The event that made this version." }),
  deleted: Type.Boolean(),
  value: Type.Optional(Type.Unknown({ description: "As it was set; absent for a tombstone." })),
});

const at: QueryParameter = {
  name: "at",
  description: "A seq, or a time (RFC 3339): all events inserted by then. Left out: now.",
  schema: Type.String(),
};
const version: QueryParameter = {
  name: "version",
  description: "This version, tombstones too.",
  schema: Type.Integer({ minimum: 1 }),
};
const prefix: QueryParameter = {
  name: "prefix",
  description: "Only keys that begin so.",
  schema: Type.String(),
};
const limit: QueryParameter = {
  name: "limit",
  description: "How many at most.",
  schema: Type.Integer({ minimum: 1, maximum: LIMITS.pageSizeMax, default: LIMITS.pageSizeDefault }),
};

/** Reading the state of a session: what its agent knew at any point. */
export function stateRoutes(sessions: SessionService): Route[] {
  const state = new StateService(sessions);
  return [
    listRoute(sessions, state),
    keyRoute(sessions, state),
    historyRoute(sessions, state),
    diffRoute(sessions, state),
  ];
}

function listRoute(sessions: SessionService, state: StateService): Route {
  return {
    method: "GET",
    path: "/v1/sessions/:id/state",
    access: READ,
    summary: "Read state",
    description:
      "The keys that exist as of a point, in order, with their values. With `key` it answers that one, as `…/KEY` " +
      "does: for keys that a path cannot carry.",
    query: [
      prefix,
      at,
      limit,
      { name: "cursor", description: "The `next_cursor` of the page before.", schema: Type.String() },
      { name: "key", description: "Only this key.", schema: Type.String() },
      version,
    ],
    success: {
      status: 200,
      description: "A page; or, with `key`, an entry.",
      schema: Type.Union([
        Type.Object({
          state: Type.Array(Entry),
          at_seq: Type.Integer(),
          next_cursor: Type.Union([Type.String(), Type.Null()]),
        }),
        Entry,
      ]),
    },
    errors: [...ERRORS, "state_key_not_found"],
    handle: async ({ caller, params, query, reply }) => {
      const id = sessions.logId(caller, params.id ?? "");
      const key = query.one("key", "invalid_request");
      if (key !== undefined) return sendJson(reply, 200, await keyJson(state, id, key, query));
      const cursor = query.one("cursor", "invalid_cursor");
      const after = cursor === undefined ? undefined : decodeAfter(cursor);
      const atSeq = after?.atSeq ?? (await state.seqAt(id, query.one("at", "invalid_cursor")));
      const page = await state.page(id, {
        limit: pageLimit(query),
        prefix: prefixOf(query),
        ...(atSeq !== undefined && { atSeq }),
        ...(after !== undefined && { after: after.key }),
      });
      const next = page.next === undefined ? "null" : JSON.stringify(encodeAfter(page.atSeq, page.next));
      const body = `{"state":[${page.entries.map(entryJson).join(",")}],"at_seq":${page.atSeq},"next_cursor":${next}}`;
      return sendJson(reply, 200, body);
    },
  };
}

function keyRoute(sessions: SessionService, state: StateService): Route {
  return {
    method: "GET",
    path: "/v1/sessions/:id/state/:key",
    access: READ,
    summary: "Read one key of the state",
    description: "Percent-encode the key, slashes too.",
    query: [at, version],
    success: { status: 200, description: "The key.", schema: Entry },
    errors: [...ERRORS, "state_key_not_found"],
    handle: async ({ caller, params, query, reply }) => {
      const id = sessions.logId(caller, params.id ?? "");
      return sendJson(reply, 200, await keyJson(state, id, params.key ?? "", query));
    },
  };
}

async function keyJson(state: StateService, id: LogId, key: string, query: Call["query"]): Promise<string> {
  const wanted = query.integer("version", "invalid_request", {
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
  });
  const atSeq = await state.seqAt(id, query.one("at", "invalid_cursor"));
  const entry = await state.key(id, readKey(key, "invalid_request"), {
    ...(atSeq !== undefined && { atSeq }),
    ...(wanted !== undefined && { version: wanted }),
  });
  if (entry !== undefined && (wanted !== undefined || !entry.deleted)) return entryJson(entry);
  const details = entry === undefined ? {} : { deleted: true, version: entry.version, seq: entry.seq };
  throw new DaybookError("state_key_not_found", "There is no such key at that point.", { details });
}

function historyRoute(sessions: SessionService, state: StateService): Route {
  return {
    method: "GET",
    path: "/v1/sessions/:id/state/:key/history",
    access: READ,
    summary: "All versions of a key",
    query: [
      limit,
      { name: "cursor", description: "Versions after this one.", schema: Type.Integer({ minimum: 0 }) },
    ],
    success: {
      status: 200,
      description: "A page, oldest first.",
      schema: Type.Object({
        versions: Type.Array(Entry),
        next_cursor: Type.Union([Type.Integer(), Type.Null()]),
      }),
    },
    errors: ERRORS,
    handle: async ({ caller, params, query, reply }) => {
      const id = sessions.logId(caller, params.id ?? "");
      const after =
        query.integer("cursor", "invalid_cursor", { minimum: 0, maximum: Number.MAX_SAFE_INTEGER }) ?? 0;
      const key = readKey(params.key ?? "", "invalid_request");
      const versions = await state.history(id, key, { after, limit: pageLimit(query) });
      const next = versions.at(-1)?.version ?? null;
      return sendJson(
        reply,
        200,
        `{"versions":[${versions.map(entryJson).join(",")}],"next_cursor":${String(next)}}`,
      );
    },
  };
}

function diffRoute(sessions: SessionService, state: StateService): Route {
  const seq = (name: string, description: string): QueryParameter => ({
    name,
    description,
    schema: Type.String(),
  });
  return {
    method: "GET",
    path: "/v1/sessions/:id/state-diff",
    access: READ,
    summary: "What changed in the state between two points",
    query: [
      seq("from", "A seq or a time; left out: the beginning."),
      seq("to", "A seq or a time; left out: now."),
      prefix,
    ],
    success: {
      status: 200,
      description: "Key by key.",
      schema: Type.Object({
        added: Type.Array(Entry),
        changed: Type.Array(Type.Object({ key: Type.String(), before: Entry, after: Entry })),
        removed: Type.Array(Entry),
      }),
    },
    errors: [...ERRORS, "answer_too_large"],
    handle: async ({ caller, params, query, reply }) => {
      const id = sessions.logId(caller, params.id ?? "");
      const from = (await state.seqAt(id, query.one("from", "invalid_cursor"))) ?? 0;
      const to = (await state.seqAt(id, query.one("to", "invalid_cursor"))) ?? sessions.lastSeq(id);
      const differences = await state.diff(id, {
        from,
        to,
        prefix: prefixOf(query),
      });
      return sendJson(reply, 200, diffJson(differences, entryJson));
    },
  };
}

const prefixOf = (query: Call["query"]): string =>
  readPrefix(query.one("prefix", "invalid_request") ?? "", "invalid_request");

function pageLimit(query: Call["query"]): number {
  return (
    query.integer("limit", "invalid_limit", { minimum: 1, maximum: LIMITS.pageSizeMax }) ??
    LIMITS.pageSizeDefault
  );
}

function entryJson({ key, version, seq, deleted, value }: StateEntry): string {
  const shown = value === undefined ? "" : `,"value":${value}`;
  return `{"key":${JSON.stringify(key)},"version":${version},"seq":${seq},"deleted":${String(deleted)}${shown}}`;
}
