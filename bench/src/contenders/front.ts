import { randomUUID, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import fastify, { type FastifyInstance } from "fastify";
import { WebSocketServer } from "ws";
import { APPEND, appendAnswer, type AppendBody, newEvents } from "./append-body.js";
import { ChannelSocket } from "./channels.js";
import { Follower } from "./follower.js";
import { LiveFeeds } from "./live-feed.js";
import type { Page, Refused, Store, StoredEvent } from "./store.js";

const REFUSALS = {
  session_not_found: [404, "There is no such session."],
  producer_replay_conflict: [409, "This producer has sent another event under this number."],
} as const satisfies Record<Refused["kind"], readonly [number, string]>;

export interface FrontOptions {
  readonly store: Store;
  /** The one bearer token that is let in. */
  readonly key: string;
}

/**
 * The HTTP front that people write before such a database: sessions, appends that are safe to retry, pages, tails.
 * It speaks the part of Daybook's session API that is measured, so that one load generator serves all.
 */
export function createFront({ store, key }: FrontOptions): FastifyInstance {
  const app = fastify({ bodyLimit: 8 * 1024 * 1024, keepAliveTimeout: 65_000 });
  const mayEnter = keyTest(key);
  app.addHook("onRequest", (request, reply, done) => {
    if (mayEnter(request.headers.authorization)) done();
    else void reply.code(401).send({ error: "unauthorized", message: "Send the key as a bearer token." });
  });
  addSessionRoutes(app, store);
  addTails(app, store, mayEnter);
  return app;
}

function addSessionRoutes(app: FastifyInstance, store: Store): void {
  const params = { type: "object", properties: { id: { type: "string", maxLength: 256 } } } as const;
  app.post<{ Body: { id?: string } }>(
    "/v1/sessions",
    { schema: { body: { type: "object", properties: { id: { type: "string", minLength: 1 } } } } },
    async ({ body: { id = `ses_${randomUUID()}` } }, reply) => {
      if (await store.create(id)) return reply.code(201).send({ id });
      return reply.code(409).send({ error: "session_exists", message: "There is a session of this id." });
    },
  );
  app.post<{ Params: { id: string }; Body: AppendBody }>(
    "/v1/sessions/:id/append",
    { schema: { params, body: APPEND } },
    async ({ params: { id }, body }, reply) => {
      const outcome = await store.append(id, newEvents(body));
      if (outcome.kind === "appended") return reply.code(201).send(appendAnswer(outcome, body));
      const [status, message] = REFUSALS[outcome.kind];
      return reply.code(status).send({ error: outcome.kind, message });
    },
  );
  const seq = { type: "integer", minimum: 0 } as const;
  const page = {
    type: "object",
    properties: { cursor: seq, before: seq, limit: { type: "integer", minimum: 1, maximum: 1_000 } },
  } as const;
  app.get<{ Params: { id: string }; Querystring: { cursor?: number; before?: number; limit?: number } }>(
    "/v1/sessions/:id/events",
    { schema: { params, querystring: page } },
    async ({ params: { id }, query: { cursor = 0, before, limit = 100 } }, reply) => {
      const wanted: Page = before === undefined ? { after: cursor, limit } : { before, limit };
      const events = await store.read(id, wanted);
      if (events.length === 0 && !(await store.exists(id)))
        return reply.code(404).send({ error: "session_not_found" });
      const list = events.map(({ bytes }) => bytes.toString()).join(",");
      const nextCursor = events.at(-1)?.seq ?? cursor;
      return reply.type("application/json").send(`{"events":[${list}],"next_cursor":${nextCursor}}`);
    },
  );
}

function addTails(app: FastifyInstance, store: Store, mayEnter: (authorization?: string) => boolean): void {
  const feeds = new LiveFeeds(store);
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const open = async (request: IncomingMessage, wire: Duplex, head: Buffer): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://front");
    if (pathname === "/v1/socket/websocket") {
      if (mayEnter(`Bearer ${searchParams.get("token") ?? ""}`))
        sockets.handleUpgrade(request, wire, head, (socket) => {
          new ChannelSocket(store, feeds, socket, wire);
        });
      else refuse(wire, "403 Forbidden");
      return;
    }
    const encodedId = /^\/v1\/sessions\/([^/]+)\/tail$/.exec(pathname)?.[1];
    const cursor = Number(searchParams.get("cursor") ?? "0");
    if (!mayEnter(request.headers.authorization)) refuse(wire, "401 Unauthorized");
    else if (encodedId === undefined) refuse(wire, "404 Not Found");
    else if (!Number.isSafeInteger(cursor) || cursor < 0) refuse(wire, "400 Bad Request");
    else {
      const id = decodeURIComponent(encodedId);
      if (await store.exists(id))
        sockets.handleUpgrade(request, wire, head, (socket) => {
          new Follower(store, id, { cursor, frames: eachAlone }, socket, wire)
            .run(feeds)
            .catch(() => socket.close(1011));
        });
      else refuse(wire, "404 Not Found");
    }
  };
  app.server.on("upgrade", (request, wire, head) => {
    wire.on("error", () => wire.destroy());
    open(request, wire, head).catch(() => refuse(wire, "503 Service Unavailable"));
  });
}

/** A tail's frames: an event each. */
function eachAlone(events: readonly StoredEvent[]): Buffer[] {
  return events.map(({ bytes }) => bytes);
}

function refuse(wire: Duplex, status: string): void {
  wire.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}

/** Compared in constant time; how long keys are is no secret. */
function keyTest(key: string): (authorization?: string) => boolean {
  const wanted = Buffer.from(`Bearer ${key}`);
  return (authorization = "") => {
    const given = Buffer.from(authorization);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  };
}
