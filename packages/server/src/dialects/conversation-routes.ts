import { LIMITS } from "@daybook/protocol";
import {
  AppendMessage,
  AppendMessageResult,
  ConversationRecord,
  MessagePage,
  PutConversation,
} from "@daybook/protocol/schemas";
import { Readable } from "node:stream";
import type { MessageQuery, Session } from "@daybook/engine";
import type { FastifyReply } from "fastify";
import type { LogId } from "@daybook/core";
import { Type } from "typebox";
import type { Access } from "../http/access.js";
import { type Call, type Route, sendJson } from "../http/route.js";
import type { Metrics } from "../metrics.js";
import type { ConversationService } from "../service/conversation-service.js";
import { messageJson, type StoredMessage } from "../service/message-json.js";
import type { Query } from "../service/query.js";
import { type AppendMessageCommand, readAppendMessage, readPut } from "../service/read-conversation.js";
import { HEADER_BODY_BYTES_MAX } from "../service/read-session.js";

export interface ConversationRoutesOptions {
  readonly conversations: ConversationService;
  readonly metrics: Metrics;
  readonly limits: { readonly eventBytesMax: number };
}

const READ: Access = { scope: "session:read", locked: "own" };
const CHANGE: Access = { scope: "session:create", locked: "own" };
const RECORD = { status: 200, description: "The conversation's record.", schema: ConversationRecord };
const PAGE = { status: 200, description: "A page, oldest to newest.", schema: MessagePage };

/** A session read as messages, over REST. */
export function conversationRoutes(options: ConversationRoutesOptions): Route[] {
  return [...recordRoutes(options), appendRoute(options), ...readRoutes(options)];
}

function recordRoutes({ conversations }: ConversationRoutesOptions): Route[] {
  return [
    {
      method: "PUT",
      path: "/v1/conversations/:id",
      access: CHANGE,
      summary: "Create a conversation, or replace its metadata",
      description: "A tombstoned one takes messages again. `version` stays as it is.",
      body: PutConversation,
      success: RECORD,
      errors: ["invalid_metadata", "invalid_session_id", "session_deleted", "storage_unavailable"],
      bodyBytesMax: HEADER_BODY_BYTES_MAX,
      handle: async (call) => {
        const id = logId(conversations, call);
        const session = await conversations.put(call.caller, id, readPut(call.body));
        return sendJson(call.reply, 200, conversationJson(session));
      },
    },
    {
      method: "GET",
      path: "/v1/conversations/:id",
      access: READ,
      summary: "Get a conversation",
      success: RECORD,
      errors: ["invalid_session_id", "conversation_not_found"],
      handle: async (call) =>
        sendJson(call.reply, 200, conversationJson(await conversations.get(logId(conversations, call)))),
    },
    {
      method: "DELETE",
      path: "/v1/conversations/:id",
      access: CHANGE,
      summary: "Tombstone a conversation",
      description:
        "It takes no more messages, nor events of its session; reads go on. PUT opens it again. To erase it for ever: " +
        "`DELETE /v1/sessions/:id`.",
      success: { status: 204, description: "Tombstoned." },
      errors: ["invalid_session_id", "conversation_not_found", "storage_unavailable"],
      handle: async (call) => {
        await conversations.tombstone(logId(conversations, call));
        return call.reply.code(204).send();
      },
    },
  ];
}

function appendRoute({ conversations, metrics, limits }: ConversationRoutesOptions): Route {
  return {
    method: "POST",
    path: "/v1/conversations/:id/messages",
    access: { scope: "session:append", locked: "own" },
    summary: "Append a message",
    description: "Answered once it is on disk. The conversation has to be there.",
    headers: [
      {
        name: "Idempotency-Key",
        description:
          "Makes retries safe: the same key with the same message answers the first seq and writes nothing. Instead of " +
          "`producer_id` and `producer_seq`, which do so too.",
        schema: Type.String({ minLength: 1, maxLength: LIMITS.idCharactersMax }),
      },
    ],
    body: AppendMessage,
    success: { status: 201, description: "Durable.", schema: AppendMessageResult },
    errors: [
      "invalid_message",
      "invalid_metadata",
      "invalid_session_id",
      "conversation_not_found",
      "conversation_tombstoned",
      "conflict",
      "idempotency_key_reused",
      "producer_seq_conflict",
      "producer_replay_conflict",
      "event_too_large",
      "event_store_backpressure",
      "storage_unavailable",
    ],
    handle: async (call) => {
      const { seq, version, tokenCount } = await metrics.measureAppend(async () =>
        conversations.append(logId(conversations, call), readMessage(call, limits)),
      );
      return sendJson(call.reply, 201, `{"seq":${seq},"version":${version},"token_count":${tokenCount}}`);
    },
  };
}

function readMessage(
  { body, caller, request }: Call,
  { eventBytesMax }: ConversationRoutesOptions["limits"],
): AppendMessageCommand {
  const key = request.headers["idempotency-key"];
  const idempotencyKey = Array.isArray(key) ? key.join(", ") : key;
  return readAppendMessage(body, caller, { eventBytesMax, idempotencyKey });
}

const limitParameter = {
  name: "limit",
  description: `How many at most; ${LIMITS.pageSizeMax} are the most, whatever is asked for.`,
  schema: Type.Integer({ default: LIMITS.pageSizeDefault }),
};

function readRoutes({ conversations }: ConversationRoutesOptions): Route[] {
  const errors = ["invalid_limit", "invalid_cursor", "invalid_session_id", "storage_unavailable"];
  return [
    {
      method: "GET",
      path: "/v1/conversations/:id/tail",
      access: READ,
      summary: "Read the newest messages",
      description: "Of a conversation that is not there, and past its beginning, there are none.",
      query: [
        limitParameter,
        {
          name: "offset",
          description: "How many of the newest messages to pass over.",
          schema: Type.Integer({ default: 0 }),
        },
      ],
      success: PAGE,
      errors,
      handle: async (call) => {
        const offset = call.query.clamped("offset", "invalid_cursor", COUNT) ?? 0;
        return sendMessages(conversations, call, { limit: pageSize(call.query), offset });
      },
    },
    {
      method: "GET",
      path: "/v1/conversations/:id/messages",
      access: READ,
      summary: "Read messages from a seq on",
      query: [
        limitParameter,
        {
          name: "from",
          description: "The first seq that is wanted; to go on, the last one read plus one.",
          schema: Type.Integer({ default: 0 }),
        },
      ],
      success: PAGE,
      errors,
      handle: async (call) => {
        const from = call.query.clamped("from", "invalid_cursor", COUNT) ?? 0;
        return sendMessages(conversations, call, { limit: pageSize(call.query), fromSeq: from });
      },
    },
  ];
}

/** Whole when it is small, as it is read when it is large: nobody's page takes much memory. */
async function sendMessages(
  conversations: ConversationService,
  call: Call,
  query: MessageQuery,
): Promise<FastifyReply> {
  const pieces = messagePieces(conversations.messages(logId(conversations, call), query));
  // A refusal comes before anything is sent.
  const first = await pieces.next();
  const second = await pieces.next();
  if (second.done === true) return sendJson(call.reply, 200, first.value ?? "");
  const answer = Readable.from(chain([first.value ?? "", second.value], pieces));
  return call.reply.code(200).header("content-type", "application/json; charset=utf-8").send(answer);
}

const PIECE_CHARACTERS_MAX = 256 * 1024;

/** The JSON of a page in pieces of moderate size. */
async function* messagePieces(messages: AsyncIterable<StoredMessage>): AsyncGenerator<string, undefined> {
  let text = '{"messages":[';
  let separator = "";
  for await (const message of messages) {
    text += separator + messageJson(message);
    separator = ",";
    if (text.length < PIECE_CHARACTERS_MAX) continue;
    yield text;
    text = "";
  }
  yield `${text}]}`;
  return undefined;
}

async function* chain<Item>(first: readonly Item[], rest: AsyncIterable<Item>): AsyncGenerator<Item> {
  yield* first;
  yield* rest;
}

const COUNT = { minimum: 0, maximum: Number.MAX_SAFE_INTEGER };

function logId({ sessions }: ConversationService, { caller, params }: Call): LogId {
  return sessions.logId(caller, params.id ?? "");
}

function pageSize(query: Query): number {
  return (
    query.clamped("limit", "invalid_limit", { minimum: 1, maximum: LIMITS.pageSizeMax }) ??
    LIMITS.pageSizeDefault
  );
}

/** A conversation as the wire shows it. Built as text: metadata goes out as it came in. */
function conversationJson({ id, head, header }: Session): string {
  return (
    `{"id":${JSON.stringify(id.id)},"version":${head.lastSeq},"tombstoned":${String(head.status === "closed")}` +
    // Nothing is in a cold store: there is none.
    `,"last_seq":${head.lastSeq},"archived_seq":0,"metadata":${header.metadata}` +
    `,"created_at":"${new Date(head.createdAtMs).toISOString()}"` +
    `,"updated_at":"${new Date(head.updatedAtMs).toISOString()}"}`
  );
}
