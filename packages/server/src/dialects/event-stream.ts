import type { StoredEvent } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import type { FastifyReply } from "fastify";
import type { Authenticator } from "../auth/authenticator.js";
import type { DrainList } from "../http/drain.js";
import type { Call } from "../http/route.js";
import type { Metrics } from "../metrics.js";
import { eventPrefix } from "../service/event-frame.js";
import { Query, readCursor, refuseBeyond } from "../service/query.js";
import type { SessionService } from "../service/session-service.js";
import { Tail } from "../service/tail.js";

/** How often a comment shows that the connection lives. */
const HEARTBEAT_MS = 15_000;
const BUFFERED_BYTES_MAX = 1024 * 1024;

export interface EventStreamOptions {
  readonly service: SessionService;
  readonly metrics: Metrics;
  readonly drains: DrainList;
  readonly authenticator: Authenticator;
}

/**
 * `GET …/tail` with `Accept: text/event-stream`: `id:` is the seq, the data is the event's JSON. A browser's
 * EventSource reconnects by itself with `Last-Event-ID` and goes on where it was.
 */
export function streamEvents(
  { service, metrics, drains, authenticator }: EventStreamOptions,
  { caller, params, query, request, reply }: Call,
): FastifyReply {
  if (request.headers.accept?.includes("text/event-stream") !== true) {
    throw new DaybookError(
      "invalid_websocket_upgrade",
      "Open this path as a WebSocket, or ask for Accept: text/event-stream.",
    );
  }
  const id = service.logId(caller, params.id ?? "");
  const cursor = lastEventId(request.headers["last-event-id"]) ?? readCursor(query) ?? 0;
  refuseBeyond(cursor, service.lastSeq(id));
  const prefix = eventPrefix(caller.principal.tenant);
  const stream = openStream(reply);
  const tail = new Tail(
    service.engine,
    id,
    cursor,
    {
      send: (events) => {
        const text = Buffer.concat(events.flatMap((event) => messagePieces(prefix, event)));
        return stream.write(text) || stream.writableLength < BUFFERED_BYTES_MAX;
      },
      end: ({ code }) => stream.end(code === "session_not_found" ? "event: deleted\ndata: {}\n\n" : ""),
    },
    { count: (events, live) => metrics.tailEvents.inc({ phase: live ? "live" : "replay" }, events) },
  );
  const heartbeat = setInterval(() => stream.write(": still here\n\n"), HEARTBEAT_MS);
  const undrain = drains.add({ drain: () => stream.end() });
  const unwatch = authenticator.onEnd(caller, (how) => {
    tail.stop();
    stream.end(`event: ${how}\ndata: {}\n\n`);
  });
  metrics.openTails.inc({ kind: "sse" });
  stream.on("drain", () => tail.resume());
  stream.on("close", () => {
    tail.stop();
    clearInterval(heartbeat);
    undrain();
    unwatch();
    metrics.openTails.dec({ kind: "sse" });
  });
  tail.start();
  return reply;
}

/** Takes the response over from fastify, with the headers that were set so far. */
function openStream(reply: FastifyReply): FastifyReply["raw"] {
  const headers = reply.getHeaders();
  reply.hijack();
  reply.raw.writeHead(200, {
    ...headers,
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  } as Record<string, string>);
  // Sent at once: the client's "open" must not wait for the first event.
  reply.raw.write(": following\n\n");
  return reply.raw;
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

function lastEventId(header: string | string[] | undefined): number | undefined {
  if (header === undefined || header === "") return undefined;
  return readCursor(Query.parse(`cursor=${encodeURIComponent(String(header))}`));
}
