import type { AgentId } from "@daybook/core";
import type { StateEntry } from "@daybook/engine";
import { DaybookError, LIMITS } from "@daybook/protocol";
import { StateTransaction } from "@daybook/protocol/schemas";
import { Type } from "typebox";
import type { Access } from "../http/access.js";
import { type Call, type QueryParameter, type Route, sendJson } from "../http/route.js";
import { readAgentId, readAgentKey, readPrefix } from "../service/state-names.js";
import type { AgentState } from "../service/agent-state.js";
import { readTransaction } from "../service/read-transaction.js";
import { type AgentStreamsOptions, replayRoute, tailRoute } from "./agent-state-streams.js";
import { decodeAfter, diffJson, encodeAfter } from "./state-json.js";

const READ: Access = { scope: "state:read", locked: "none" };
const ERRORS = ["invalid_state", "invalid_cursor", "invalid_limit", "invalid_request", "storage_unavailable"];
/** Room for a transaction of the largest size in a spelling with escapes. */
const BODY_BYTES_MAX = 2 * LIMITS.transactionBytesMax;

const Entry = Type.Object({
  key: Type.String(),
  version: Type.Integer({
    minimum: 1,
    description: "Rises by one with every write or delete of the record.",
  }),
  commit_ts: Type.Integer({ minimum: 1, description: "The commit that made this version." }),
  deleted: Type.Boolean(),
  value: Type.Optional(Type.Unknown({ description: "As it was written; absent for a tombstone." })),
});

const at: QueryParameter = {
  name: "at",
  description: "A commit_ts, or a time (RFC 3339): all commits by then. Left out: now.",
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

/** State of agents over HTTP: exact texts, any point in time, no open transactions. */
export function agentStateRoutes(options: AgentStreamsOptions): Route[] {
  const { state } = options;
  return [
    transactionRoute(state),
    listRoute(state),
    keyRoute(state),
    historyRoute(state),
    diffRoute(state),
    replayRoute(options),
    tailRoute(options),
  ];
}

function transactionRoute(state: AgentState): Route {
  return {
    method: "POST",
    path: "/v1/state/transactions",
    access: { scope: "state:write", locked: "none" },
    summary: "Commit a transaction on agents' state",
    description:
      "All operations take effect together, durable when this is answered, or none does. With `producer_id` and " +
      "`producer_seq` it can be sent again: the same transaction answers its first commit_ts.",
    body: StateTransaction,
    success: {
      status: 201,
      description: "Durable.",
      schema: Type.Object({
        txn_id: Type.String(),
        commit_ts: Type.Integer({ minimum: 1, description: "Rises with every commit of the tenant." }),
        deduped: Type.Boolean({
          description: "True when this very transaction was committed before: a retry.",
        }),
      }),
    },
    errors: [
      "invalid_state",
      "state_conflict",
      "state_too_large",
      "producer_seq_conflict",
      "producer_replay_conflict",
      "event_too_large",
      "event_store_backpressure",
      "storage_unavailable",
    ],
    bodyBytesMax: BODY_BYTES_MAX,
    handle: async ({ caller, body, reply }) => {
      const { id, producer, transaction } = readTransaction(body);
      const { commitTs, deduped } = await state.commit(caller, transaction, { id, producer });
      return sendJson(reply, 201, JSON.stringify({ txn_id: id, commit_ts: commitTs, deduped }));
    },
  };
}

function listRoute(state: AgentState): Route {
  return {
    method: "GET",
    path: "/v1/state/:namespace/:agent",
    access: READ,
    summary: "Read an agent's state",
    description:
      "The records that exist as of a point, in the order of their keys. With `key` it answers that one record, as " +
      "`…/KEY` does: for keys that a path cannot carry.",
    query: [
      prefix,
      at,
      limit,
      { name: "keys_only", description: "Leave the values out.", schema: Type.Boolean() },
      { name: "cursor", description: "The `next_cursor` of the page before.", schema: Type.String() },
      { name: "key", description: "Only this record.", schema: Type.String() },
      version,
    ],
    success: {
      status: 200,
      description: "A page; or, with `key`, a record.",
      schema: Type.Union([
        Type.Object({
          state: Type.Array(Entry),
          commit_ts: Type.Integer({ description: "The commit this is the state as of." }),
          next_cursor: Type.Union([Type.String(), Type.Null()]),
        }),
        Entry,
      ]),
    },
    errors: [...ERRORS, "state_key_not_found"],
    handle: async (call) => {
      const { query, reply } = call;
      const key = query.one("key", "invalid_state");
      const json = key === undefined ? await pageJson(state, call) : await recordJson(state, call, key);
      return sendJson(reply, 200, json);
    },
  };
}

async function pageJson(state: AgentState, { caller, params, query }: Call): Promise<string> {
  const agent = agentOf(params);
  const cursor = query.one("cursor", "invalid_cursor");
  const after = cursor === undefined ? undefined : decodeAfter(cursor);
  const atSeq = after?.atSeq ?? (await state.commitAt(caller, query.one("at", "invalid_cursor")));
  const page = await state.list(caller, agent, {
    limit: pageLimit(query),
    prefix: readPrefix(query.one("prefix", "invalid_request") ?? ""),
    keysOnly: query.flag("keys_only", "invalid_request"),
    ...(atSeq !== undefined && { atSeq }),
    ...(after !== undefined && { after: after.key }),
  });
  const next = page.next === undefined ? "null" : JSON.stringify(encodeAfter(page.at, page.next));
  return `{"state":[${page.entries.map(entryJson).join(",")}],"commit_ts":${page.at},"next_cursor":${next}}`;
}

function keyRoute(state: AgentState): Route {
  return {
    method: "GET",
    path: "/v1/state/:namespace/:agent/:key",
    access: READ,
    summary: "Read one record of an agent",
    description:
      "Percent-encode the key, slashes too. Keys named diff, replay, tail, . or .. : `?key=` on the agent.",
    query: [at, version],
    success: { status: 200, description: "The record.", schema: Entry },
    errors: [...ERRORS, "state_key_not_found"],
    handle: async (call) => sendJson(call.reply, 200, await recordJson(state, call, call.params.key ?? "")),
  };
}

async function recordJson(state: AgentState, { caller, params, query }: Call, key: string): Promise<string> {
  const id = readAgentKey(params.namespace ?? "", params.agent ?? "", key);
  const wanted = query.integer("version", "invalid_request", {
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
  });
  const atSeq = await state.commitAt(caller, query.one("at", "invalid_cursor"));
  const entry = await state.get(caller, id, {
    ...(atSeq !== undefined && { atSeq }),
    ...(wanted !== undefined && { version: wanted }),
  });
  if (entry !== undefined && (wanted !== undefined || !entry.deleted)) return entryJson(entry);
  const details = entry === undefined ? {} : { deleted: true, version: entry.version, commit_ts: entry.seq };
  throw new DaybookError("state_key_not_found", "There is no such record at that point.", { details });
}

function historyRoute(state: AgentState): Route {
  return {
    method: "GET",
    path: "/v1/state/:namespace/:agent/:key/history",
    access: READ,
    summary: "All versions of a record",
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
      const id = readAgentKey(params.namespace ?? "", params.agent ?? "", params.key ?? "");
      const after =
        query.integer("cursor", "invalid_cursor", { minimum: 0, maximum: Number.MAX_SAFE_INTEGER }) ?? 0;
      const versions = await state.history(caller, id, { after, limit: pageLimit(query) });
      const next = versions.at(-1)?.version ?? null;
      return sendJson(
        reply,
        200,
        `{"versions":[${versions.map(entryJson).join(",")}],"next_cursor":${String(next)}}`,
      );
    },
  };
}

function diffRoute(state: AgentState): Route {
  const point = (name: string, description: string): QueryParameter => ({
    name,
    description,
    schema: Type.String(),
  });
  return {
    method: "GET",
    path: "/v1/state/:namespace/:agent/diff",
    access: READ,
    summary: "What changed in an agent's state between two points",
    query: [
      point("from", "A commit_ts or a time; left out: the beginning."),
      point("to", "A commit_ts or a time; left out: now."),
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
      const agent = agentOf(params);
      const point = async (name: string, otherwise: number): Promise<number> =>
        (await state.commitAt(caller, query.one(name, "invalid_cursor"))) ?? otherwise;
      const range = { from: await point("from", 0), to: await point("to", state.lastCommit(caller)) };
      const within = readPrefix(query.one("prefix", "invalid_request") ?? "");
      const differences = await state.diff(caller, agent, { ...range, prefix: within });
      return sendJson(reply, 200, diffJson(differences, entryJson));
    },
  };
}

function agentOf({ namespace = "", agent = "" }: Call["params"]): AgentId {
  return readAgentId(namespace, agent);
}

function pageLimit(query: Call["query"]): number {
  return (
    query.integer("limit", "invalid_limit", { minimum: 1, maximum: LIMITS.pageSizeMax }) ??
    LIMITS.pageSizeDefault
  );
}

function entryJson({ key, version, seq, deleted, value }: StateEntry): string {
  const shown = value === undefined ? "" : `,"value":${value}`;
  return `{"key":${JSON.stringify(key)},"version":${version},"commit_ts":${seq},"deleted":${String(deleted)}${shown}}`;
}
