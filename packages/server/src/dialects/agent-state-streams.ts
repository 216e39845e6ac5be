import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { type Authenticator, type TokenEnd, tokenEnded } from "../auth/authenticator.js";
import type { Access } from "../http/access.js";
import type { DrainList } from "../http/drain.js";
import type { Call, Route } from "../http/route.js";
import type { Metrics } from "../metrics.js";
import type { AgentCommit } from "../service/agent-commit.js";
import { readAgentId } from "../service/state-names.js";
import type { AgentState } from "../service/agent-state.js";
import { PagedTail } from "../service/paged-tail.js";
import { readCursor, refuseBeyond } from "../service/query.js";
import { lastEventId } from "./event-stream.js";
import { logFailedRead } from "./log-failed-read.js";
import { openServerEvents } from "./server-events.js";

export interface AgentStreamsOptions {
  readonly state: AgentState;
  readonly metrics: Metrics;
  readonly drains: DrainList;
  readonly authenticator: Authenticator;
  readonly pingSeconds: number;
}

const READ: Access = { scope: "state:read", locked: "none" };

const CommitLine = Type.Object({
  txn_id: Type.String(),
  commit_ts: Type.Integer({ minimum: 1 }),
  committed_at: Type.String({ format: "date-time" }),
  actor: Type.String(),
  operations: Type.Array(
    Type.Object({
      key: Type.String(),
      version: Type.Integer({ minimum: 1 }),
      deleted: Type.Boolean(),
      value: Type.Optional(Type.Unknown()),
    }),
  ),
});

/** `GET …/replay`: the transactions of an agent as NDJSON, read as fast as the other end takes them. */
export function replayRoute({ state, authenticator }: AgentStreamsOptions): Route {
  const bound = { minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
  return {
    method: "GET",
    path: "/v1/state/:namespace/:agent/replay",
    access: READ,
    summary: "Replay an agent's transactions",
    description:
      "One committed transaction a line, with the operations on this agent's records, in the order of commit_ts; as of now.",
    query: [
      { name: "start_ts", description: "From this commit_ts on.", schema: Type.Integer({ minimum: 0 }) },
      { name: "end_ts", description: "Up to and with this commit_ts.", schema: Type.Integer({ minimum: 0 }) },
      { name: "limit", description: "How many at most.", schema: Type.Integer({ minimum: 1 }) },
    ],
    success: { status: 200, description: "NDJSON; each line:", schema: CommitLine },
    errors: ["invalid_state", "invalid_request", "invalid_limit", "storage_unavailable"],
    handle: ({ caller, params, query, reply }) => {
      const agent = readAgentId(params.namespace ?? "", params.agent ?? "");
      const start = query.integer("start_ts", "invalid_request", bound);
      const end = query.integer("end_ts", "invalid_request", bound);
      const limit = query.integer("limit", "invalid_limit", { ...bound, minimum: 1 });
      const commits = state.replay(caller, agent, {
        ...(start !== undefined && { start }),
        ...(end !== undefined && { end }),
      });
      const lines = linesOf(commits, limit, (ended) => authenticator.onEnd(caller, ended));
      return reply.header("content-type", "application/x-ndjson").send(Readable.from(lines));
    },
  };
}

/** The lines of a replay, until the caller's token ends: then the answer breaks off. */
async function* linesOf(
  commits: AsyncIterable<AgentCommit>,
  limit: number | undefined,
  onEnd: (ended: (how: TokenEnd) => void) => () => void,
): AsyncGenerator<Buffer> {
  let end: TokenEnd | undefined;
  const undo = onEnd((how) => (end = how));
  try {
    let count = 0;
    for await (const commit of commits) {
      if (end !== undefined) throw tokenEnded(end);
      yield Buffer.from(`${commitJson(commit)}\n`);
      if (++count === limit) return;
    }
  } finally {
    undo();
  }
}

/** `GET …/tail`: the same, then what is committed from now on, as server-sent events. */
export function tailRoute(options: AgentStreamsOptions): Route {
  return {
    method: "GET",
    path: "/v1/state/:namespace/:agent/tail",
    access: { ...READ, tokenInQuery: true },
    summary: "Follow an agent's transactions",
    description:
      "Server-sent events: `id` is the commit_ts, the data is a line of the replay. A browser's EventSource goes on " +
      "where it was by itself.",
    query: [
      {
        name: "cursor",
        description: "Commits after this commit_ts.",
        schema: Type.Integer({ minimum: 0, default: 0 }),
      },
    ],
    success: { status: 200, description: "A stream of commits.", schema: CommitLine },
    errors: ["invalid_state", "invalid_cursor", "storage_unavailable"],
    handle: (call) => followCommits(options, call),
  };
}

async function followCommits(
  { state, ...options }: AgentStreamsOptions,
  { caller, params, query, request, reply }: Call,
): Promise<FastifyReply> {
  const agent = readAgentId(params.namespace ?? "", params.agent ?? "");
  const cursor = lastEventId(request.headers["last-event-id"]) ?? readCursor(query) ?? 0;
  refuseBeyond(cursor, state.lastCommit(caller));
  await state.makeReady(caller);
  const stream = openServerEvents(reply, { caller, ...options });
  const source = {
    read: (after: number) => state.commits(caller, agent, { after, through: Number.MAX_SAFE_INTEGER }),
    placeOf: ({ commitTs }: AgentCommit) => commitTs,
    watch: (moved: () => void) => state.watch(caller, moved),
  };
  stream.follow(
    new PagedTail(source, cursor, {
      send: (commits) => stream.send(Buffer.from(commits.map(messageOf).join(""))),
      end: (error) => {
        logFailedRead(request.log, error);
        stream.end("");
      },
    }),
  );
  return reply;
}

function messageOf(commit: AgentCommit): string {
  return `id: ${commit.commitTs}\ndata: ${commitJson(commit)}\n\n`;
}

/** One line: a value's own line ends are white space between tokens, and become blanks. */
function commitJson({ id, commitTs, committedAt, actor, operations }: AgentCommit): string {
  const shown = operations.map(({ key, version = 0, kind, value }) => {
    const text = value === undefined ? "" : `,"value":${value}`;
    return `{"key":${JSON.stringify(key)},"version":${version},"deleted":${String(kind === "delete")}${text}}`;
  });
  const head = `"txn_id":${JSON.stringify(id)},"commit_ts":${commitTs},"committed_at":"${committedAt}"`;
  const json = `{${head},"actor":${JSON.stringify(actor)},"operations":[${shown.join(",")}]}`;
  return /[\r\n]/.test(json) ? json.replace(/[\r\n]+/g, " ") : json;
}
