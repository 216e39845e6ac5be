import { DaybookError, LIMITS } from "@daybook/protocol";
import type { LifecyclePage } from "@daybook/engine";
import type { FastifyReply } from "fastify";
import { Type } from "typebox";
import { type Authenticator, type TokenEnd, tokenEnded } from "../auth/authenticator.js";
import type { DrainList } from "../http/drain.js";
import { type Call, type Route, sendJson } from "../http/route.js";
import {
  decodePlace,
  encodePlace,
  lifecycleJson,
  lifecycleTail,
  requireMayFollowLifecycle,
} from "../service/lifecycle-feed.js";
import type { SessionService } from "../service/session-service.js";
import { logFailedRead } from "./log-failed-read.js";
import { asksForServerEvents, openServerEvents } from "./server-events.js";
import type { Metrics } from "../metrics.js";

export interface LifecycleRoutesOptions {
  readonly service: SessionService;
  readonly authenticator: Authenticator;
  readonly drains: DrainList;
  readonly metrics: Metrics;
  readonly pingSeconds: number;
}

const Item = Type.Object(
  {
    kind: Type.String({
      description:
        "`session.created`, `updated`, `archived`, `unarchived`, `forked`, `closed`, `reopened` or `deleted`.",
    }),
    session_id: Type.String(),
    tenant_id: Type.String(),
    occurred_at: Type.String({ format: "date-time" }),
    cursor: Type.String(),
  },
  { additionalProperties: true },
);

/** `GET /v1/lifecycle`: what happened to all sessions, durable and replayable. */
export function lifecycleRoutes(options: LifecycleRoutesOptions): Route[] {
  return [
    {
      method: "GET",
      path: "/v1/lifecycle",
      access: { scope: "session:read", locked: "none", tokenInQuery: true },
      summary: "What happened to sessions as a whole",
      description:
        "Created, updated, archived, unarchived, forked, closed, deleted, in the order of the log, after a cursor. With `wait` it " +
        "holds the answer until there is something; with `Accept: text/event-stream` it follows. Only for services.",
      query: [
        {
          name: "cursor",
          description: "The `next_cursor` of the answer before; left out: from the beginning.",
          schema: Type.String(),
        },
        {
          name: "limit",
          description: "How many at most.",
          schema: Type.Integer({ minimum: 1, maximum: LIMITS.pageSizeMax, default: LIMITS.pageSizeDefault }),
        },
        {
          name: "wait",
          description: "Seconds to wait for something.",
          schema: Type.Integer({ minimum: 0, maximum: LIMITS.waitSecondsMax }),
        },
      ],
      success: {
        status: 200,
        description: "A page.",
        schema: Type.Object({ events: Type.Array(Item), next_cursor: Type.String() }),
      },
      errors: [
        "invalid_cursor",
        "invalid_limit",
        "invalid_request",
        "forbidden",
        "forbidden_scope",
        "forbidden_session",
        "unauthorized",
        "storage_unavailable",
      ],
      handle: (call) => readLifecycle(options, call),
    },
  ];
}

async function readLifecycle(options: LifecycleRoutesOptions, call: Call): Promise<FastifyReply> {
  const { caller, query, request, reply } = call;
  requireMayFollowLifecycle(caller);
  const lastEventId = request.headers["last-event-id"];
  const cursor =
    typeof lastEventId === "string" && lastEventId !== ""
      ? lastEventId
      : query.one("cursor", "invalid_cursor");
  if (cursor === "")
    throw new DaybookError(
      "invalid_cursor",
      "cursor must not be empty; leave it out to begin at the beginning.",
    );
  const place = cursor === undefined ? undefined : decodePlace(cursor);
  if (asksForServerEvents(request)) return streamLifecycle(options, call, place);
  const limit =
    query.integer("limit", "invalid_limit", { minimum: 1, maximum: LIMITS.pageSizeMax }) ??
    LIMITS.pageSizeDefault;
  const wait = query.integer("wait", "invalid_request", { minimum: 0, maximum: LIMITS.waitSecondsMax }) ?? 0;
  const page = await pageOrWait(options, call, { place, limit, waitMs: wait * 1000 });
  const next = page.items.at(-1)?.place ?? place ?? "0.0";
  const items = page.items.map((item) => lifecycleJson(item, encodePlace(item.place)));
  return sendJson(reply, 200, `{"events":[${items.join(",")}],"next_cursor":"${encodePlace(next)}"}`);
}

async function pageOrWait(
  { service, drains, authenticator }: LifecycleRoutesOptions,
  { caller, request }: Call,
  { place, limit, waitMs }: { place: string | undefined; limit: number; waitMs: number },
): Promise<LifecyclePage> {
  const { engine } = service;
  const { tenant } = caller.principal;
  const query = place === undefined ? { limit } : { after: place, limit };
  let endedBy: TokenEnd | undefined;
  let moved = false;
  let wake: () => void = () => undefined;
  const unwatch = engine.watchLifecycle(tenant, () => {
    moved = true;
    wake();
  });
  try {
    const page = await engine.lifecycle(tenant, query);
    if (page.items.length > 0 || waitMs === 0) return page;
    await new Promise<void>((resolve) => {
      wake = resolve;
      const timer = setTimeout(resolve, waitMs);
      const undo = [
        drains.add({ drain: resolve }),
        authenticator.onEnd(caller, (how) => {
          endedBy = how;
          resolve();
        }),
      ];
      request.raw.once("close", resolve);
      wake = () => {
        clearTimeout(timer);
        for (const one of undo) one();
        resolve();
      };
      if (moved) wake();
    });
    // Nothing that came after the token's end is for its holder.
    if (endedBy !== undefined) throw tokenEnded(endedBy);
    return await engine.lifecycle(tenant, query);
  } finally {
    wake();
    unwatch();
  }
}

function streamLifecycle(
  { service, ...options }: LifecycleRoutesOptions,
  { caller, request, reply }: Call,
  place: string | undefined,
): FastifyReply {
  const stream = openServerEvents(reply, { caller, ...options });
  const tail = lifecycleTail(service.engine, caller.principal.tenant, place, {
    send: (items) =>
      stream.send(
        Buffer.from(
          items
            .map(
              (item) =>
                `id: ${encodePlace(item.place)}\ndata: ${oneLine(lifecycleJson(item, encodePlace(item.place)))}\n\n`,
            )
            .join(""),
        ),
      ),
    end: (error) => {
      logFailedRead(request.log, error);
      stream.end("");
    },
  });
  stream.follow(tail);
  return reply;
}

/** Metadata may hold line ends between its tokens; they would end the field. */
function oneLine(json: string): string {
  return json.replace(/[\r\n]+/g, " ");
}
