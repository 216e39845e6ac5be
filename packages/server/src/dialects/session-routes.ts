import { LIMITS } from "@daybook/protocol";
import {
  AppendManyResult,
  AppendMany,
  AppendOne,
  AppendResult,
  CreateSession,
  EventPage,
  PatchSession,
  SessionList,
  SessionRecord,
} from "@daybook/protocol/schemas";
import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import type { Access } from "../http/access.js";
import { type Call, type Route, sendJson } from "../http/route.js";
import { appendAnswer } from "../service/append-answer.js";
import { encodeListCursor, readListQuery } from "../service/read-list-query.js";
import { ImportBody, readImport } from "../service/read-import.js";
import { HEADER_BODY_BYTES_MAX, readCreate, readNothing, readPatch } from "../service/read-session.js";
import { type AppendLimits, readAppend } from "../service/read-append.js";
import { recordJson } from "../service/session-record.js";
import { type Caller, requireNoLock, requireScope, requireSession } from "../service/caller.js";
import type { SessionService } from "../service/session-service.js";
import { forkRoute } from "./fork-route.js";
import { readEvents, type ReadEventsOptions } from "./read-events.js";

export interface SessionRoutesOptions extends ReadEventsOptions {
  readonly service: SessionService;
  readonly limits: AppendLimits;
}

const limitParameter = {
  name: "limit",
  description: `How many at most, 1 to ${LIMITS.pageSizeMax}.`,
  schema: Type.Integer({ minimum: 1, maximum: LIMITS.pageSizeMax, default: LIMITS.pageSizeDefault }),
};

/** The session dialect over REST, but for tails. */
export function sessionRoutes(options: SessionRoutesOptions): Route[] {
  return [
    ...lookRoutes(options),
    createRoute(options),
    forkRoute(options.service),
    ...changeRoutes(options),
    ...flagRoutes(options),
    appendRoute(options),
    eventsRoute(options),
    importRoute(options),
  ];
}

const READ: Access = { scope: "session:read", locked: "own" };
const CHANGE: Access = { scope: "session:create", locked: "own" };
const RECORD = { status: 200, description: "The session's record.", schema: SessionRecord };

function lookRoutes({ service }: SessionRoutesOptions): Route[] {
  return [
    {
      method: "GET",
      path: "/v1/sessions",
      access: { scope: "session:read", locked: "handled" },
      summary: "List sessions",
      description: "Ordered by id unless asked otherwise. Archived ones are left out unless asked for.",
      query: [
        limitParameter,
        { name: "cursor", description: "The `next_cursor` of the page before.", schema: Type.String() },
        { name: "archived", description: "Which sessions.", schema: Type.Enum(["false", "true", "all"]) },
        {
          name: "forked_from",
          description: "Only forks of this session.",
          schema: Type.String(),
        },
        {
          name: "metadata.KEY",
          description: "Only sessions whose metadata has this value, as text; repeatable.",
          schema: Type.String(),
        },
        { name: "sort", description: "Order by.", schema: Type.Enum(["id", "created", "updated"]) },
        { name: "order", description: "Direction.", schema: Type.Enum(["asc", "desc"]) },
      ],
      success: { status: 200, description: "A page.", schema: SessionList },
      errors: ["invalid_list_query", "invalid_limit", "invalid_cursor"],
      handle: (call) => listSessions(service, call),
    },
    {
      method: "GET",
      path: "/v1/sessions/:id",
      access: READ,
      summary: "Get a session",
      success: RECORD,
      errors: ["invalid_session_id", "session_not_found"],
      handle: async ({ caller, params, reply }) =>
        sendJson(reply, 200, recordJson(await service.get(service.logId(caller, params.id ?? "")))),
    },
  ];
}

function createRoute({ service }: SessionRoutesOptions): Route {
  return {
    method: "POST",
    path: "/v1/sessions",
    access: { scope: "session:create", locked: "handled" },
    summary: "Create a session",
    body: CreateSession,
    success: { ...RECORD, status: 201 },
    errors: [
      "invalid_session",
      "invalid_session_id",
      "invalid_metadata",
      "session_exists",
      "session_deleted",
    ],
    bodyBytesMax: HEADER_BODY_BYTES_MAX,
    handle: async ({ caller, body, reply }) =>
      sendJson(reply, 201, recordJson(await service.create(caller, lockedCreate(caller, readCreate(body))))),
  };
}

function changeRoutes({ service }: SessionRoutesOptions): Route[] {
  return [
    {
      method: "PATCH",
      path: "/v1/sessions/:id",
      access: CHANGE,
      summary: "Change title or metadata",
      description: "Metadata is merged member by member of its top level; a null title clears it.",
      body: PatchSession,
      success: RECORD,
      errors: [
        "invalid_session",
        "invalid_session_id",
        "invalid_metadata",
        "session_not_found",
        "expected_version_conflict",
      ],
      bodyBytesMax: HEADER_BODY_BYTES_MAX,
      handle: async ({ caller, params, body, reply }) => {
        const id = service.logId(caller, params.id ?? "");
        return sendJson(reply, 200, recordJson(await service.patch(id, readPatch(body))));
      },
    },
    {
      method: "DELETE",
      path: "/v1/sessions/:id",
      access: CHANGE,
      summary: "Erase a session and its events",
      description:
        "For ever: its bytes are erased on disk, its open tails end, its id is never usable again. Forks share them: " +
        "while there are any, only with `cascade`, which erases them too.",
      query: [
        {
          name: "cascade",
          description: "`true`: its forks as well, and theirs. A cascade that broke off can be sent again.",
          schema: Type.Boolean({ default: false }),
        },
      ],
      success: { status: 204, description: "Erased." },
      errors: [
        "invalid_session_id",
        "invalid_request",
        "session_not_found",
        "session_has_forks",
        "forbidden_session",
      ],
      handle: (call) => deleteSession(service, call),
    },
  ];
}

async function deleteSession(
  service: SessionService,
  { caller, params, query, reply }: Call,
): Promise<FastifyReply> {
  const id = service.logId(caller, params.id ?? "");
  if (query.flag("cascade", "invalid_request")) {
    // Its forks are other sessions.
    requireNoLock(caller);
    await service.eraseWithForks(id);
  } else {
    await service.erase(id);
  }
  return reply.code(204).send();
}

/** A token for one session may create that one and no other. */
function lockedCreate<Input extends { readonly id: string | undefined }>(
  caller: Caller,
  input: Input,
): Input {
  if (caller.sessionLock !== undefined) requireSession(caller, input.id ?? "");
  return input;
}

async function listSessions(service: SessionService, { caller, query, reply }: Call): Promise<FastifyReply> {
  const list = readListQuery(query, caller.principal.tenant);
  const { sessions, next } =
    caller.sessionLock === undefined
      ? await service.list(list)
      : { sessions: await service.listOne(list, caller.sessionLock), next: undefined };
  const cursor = next === undefined ? "null" : JSON.stringify(encodeListCursor(next, list));
  return sendJson(reply, 200, `{"sessions":[${sessions.map(recordJson).join(",")}],"next_cursor":${cursor}}`);
}

function flagRoutes({ service }: SessionRoutesOptions): Route[] {
  return [true, false].map((archived) => ({
    method: "POST",
    path: `/v1/sessions/:id/${archived ? "archive" : "unarchive"}`,
    access: CHANGE,
    summary: archived ? "Hide a session from lists" : "Show a session in lists again",
    description: "A flag; nothing is deleted, and events can still be appended. A second time is fine.",
    success: RECORD,
    errors: ["invalid_session", "invalid_session_id", "session_not_found"],
    bodyBytesMax: HEADER_BODY_BYTES_MAX,
    handle: async ({ caller, params, body, reply }: Call) => {
      const id = service.logId(caller, params.id ?? "");
      readNothing(body);
      return sendJson(reply, 200, recordJson(await service.archive(id, archived)));
    },
  }));
}

function appendRoute({ service, metrics, limits }: SessionRoutesOptions): Route {
  return {
    method: "POST",
    path: "/v1/sessions/:id/append",
    access: { scope: "session:append", locked: "own" },
    summary: "Append one event or a list of events",
    description:
      "Answered once the events are on disk. All events of a list are committed together or none is. The same " +
      "producer_id and producer_seq with the same content is a retry: it answers the first seq and writes nothing.",
    body: Type.Union([AppendOne, AppendMany]),
    success: {
      status: 201,
      description: "Durable.",
      schema: Type.Union([AppendResult, AppendManyResult]),
    },
    errors: [
      "invalid_event",
      "invalid_metadata",
      "invalid_refs",
      "invalid_session_id",
      "session_not_found",
      "expected_seq_conflict",
      "producer_seq_conflict",
      "producer_replay_conflict",
      "state_conflict",
      "session_closed",
      "event_too_large",
      "event_store_backpressure",
      "storage_unavailable",
    ],
    handle: async (call) =>
      sendJson(call.reply, 201, await metrics.measureAppend(() => append(call, service, limits))),
  };
}

async function append(
  { caller, params, body }: Call,
  service: SessionService,
  limits: AppendLimits,
): Promise<string> {
  const id = service.logId(caller, params.id ?? "");
  const command = readAppend(body, caller, limits);
  return appendAnswer(command, await service.append(id, command), service.durableSeq(id));
}

function eventsRoute(options: SessionRoutesOptions): Route {
  return {
    method: "GET",
    path: "/v1/sessions/:id/events",
    access: READ,
    summary: "Read events",
    description:
      "After a cursor, or the page that ends just before a seq. With `wait` it holds the answer until there is something.",
    query: [
      {
        name: "cursor",
        description: "Events after this seq.",
        schema: Type.Integer({ minimum: 0, default: 0 }),
      },
      {
        name: "before",
        description: "The page that ends just before this seq.",
        schema: Type.Integer({ minimum: 1 }),
      },
      limitParameter,
      {
        name: "wait",
        description: "Seconds to wait for an event, with cursor.",
        schema: Type.Integer({ minimum: 0, maximum: LIMITS.waitSecondsMax }),
      },
    ],
    success: { status: 200, description: "A page, ascending.", schema: EventPage },
    errors: ["invalid_cursor", "invalid_limit", "invalid_request", "invalid_session_id", "session_not_found"],
    handle: (call) => readEvents(options.service, call, options),
  };
}

function importRoute({ service }: SessionRoutesOptions): Route {
  return {
    method: "POST",
    path: "/v1/sessions/:id/import",
    access: CHANGE,
    summary: "Import a session",
    description:
      "For services only. Send `session` (a record) first, then `events` as they were exported, in order: actors, " +
      "producers, times, seqs and exact texts are kept. What is there already is passed over if it is the same.",
    body: ImportBody,
    success: { status: 200, description: "Durable.", schema: Type.Object({ last_seq: Type.Integer() }) },
    errors: [
      "invalid_event",
      "invalid_session",
      "invalid_session_id",
      "forbidden",
      "session_exists",
      "session_not_found",
      "session_deleted",
      "expected_seq_conflict",
      "session_closed",
    ],
    handle: async ({ caller, params, body, reply }) => {
      const id = service.logId(caller, params.id ?? "");
      requireScope(caller, "session:append");
      const { lastSeq } = await service.import(caller, id, readImport(body));
      return sendJson(reply, 200, `{"last_seq":${lastSeq}}`);
    },
  };
}
