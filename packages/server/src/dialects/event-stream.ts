import type { StoredEvent } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import type { FastifyReply } from "fastify";
import type { Authenticator } from "../auth/authenticator.js";
import type { DrainList } from "../http/drain.js";
import type { Call } from "../http/route.js";
import type { Metrics } from "../metrics.js";
import { actorTest, eventPrefix } from "../service/event-frame.js";
import { Query, readAgent, readCursor, refuseBeyond } from "../service/query.js";
import type { SessionService } from "../service/session-service.js";
import { logFailedRead } from "./log-failed-read.js";
import { asksForServerEvents, openServerEvents } from "./server-events.js";

export interface EventStreamOptions {
  readonly service: SessionService;
  readonly metrics: Metrics;
  readonly drains: DrainList;
  readonly authenticator: Authenticator;
  readonly pingSeconds: number;
}

/**
 * `GET …/tail` with `Accept: text/event-stream`: `id:` is the seq, the data is the event's JSON. A browser's
 * EventSource reconnects by itself with `Last-Event-ID` and goes on where it was.
 */
export function streamEvents(
  { service, ...options }: EventStreamOptions,
  { caller, params, query, request, reply }: Call,
): FastifyReply {
  if (!asksForServerEvents(request)) {
    throw new DaybookError(
      "invalid_websocket_upgrade",
      "Open this path as a WebSocket, or ask for Accept: text/event-stream.",
    );
  }
  const id = service.logId(caller, params.id ?? "");
  const cursor = lastEventId(request.headers["last-event-id"]) ?? readCursor(query) ?? 0;
  const actor = readAgent(query);
  refuseBeyond(cursor, service.lastSeq(id));
  const prefix = eventPrefix(caller.principal.tenant);
  const stream = openServerEvents(reply, { caller, ...options });
  const tail = service.tail(
    id,
    cursor,
    {
      send: (events) => stream.send(Buffer.concat(events.flatMap((event) => messagePieces(prefix, event)))),
      end: (error) => {
        logFailedRead(request.log, error);
        stream.end(error.code === "session_not_found" ? "event: deleted\ndata: {}\n\n" : "");
      },
    },
    {
      ...(actor !== undefined && { wanted: actorTest(actor) }),
      count: (events, live) => options.metrics.tailEvents.inc({ phase: live ? "live" : "replay" }, events),
    },
  );
  stream.follow(tail);
  return reply;
}

function messagePieces(prefix: Buffer, event: StoredEvent): Buffer[] {
  const start = Buffer.from(`id: ${event.seq}\ndata: `);
  const json = event.bytes.subarray(1);
  // A line end is white space between JSON tokens here, but the end of a field there.
  const safe =
    json.includes(0x0a) || json.includes(0x0d)
      ? Buffer.from(json.toString("utf8").replace(/\r\n|\r|\n/g, "\ndata: "))
      : json;
  return [start, prefix, safe, END];
}

const END = Buffer.from("\n\n");

/** Where an EventSource goes on by itself. @throws DaybookError invalid_cursor */
export function lastEventId(header: string | string[] | undefined): number | undefined {
  if (header === undefined || header === "") return undefined;
  return readCursor(Query.parse(`cursor=${encodeURIComponent(String(header))}`));
}
