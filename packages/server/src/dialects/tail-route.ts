import { Event } from "@daybook/protocol/schemas";
import { Type } from "typebox";
import type { Route } from "../http/route.js";
import { type EventStreamOptions, streamEvents } from "./event-stream.js";

/** The plain-HTTP side of the tail's path; its upgrade is taken before routing. */
export function tailRoute(options: EventStreamOptions): Route {
  return {
    method: "GET",
    path: "/v1/sessions/:id/tail",
    access: { scope: "session:read", locked: "own", tokenInQuery: true },
    summary: "Follow a session",
    description:
      "Replays events after the cursor, then follows live, on one connection. As a WebSocket: one JSON text frame an " +
      "event, or with `batch_size` an array of events a frame. With `Accept: text/event-stream`: server-sent events.",
    query: [
      {
        name: "cursor",
        description: "Events after this seq.",
        schema: Type.Integer({ minimum: 0, default: 0 }),
      },
      {
        name: "batch_size",
        description: "WebSocket: events a frame.",
        schema: Type.Integer({ minimum: 2, maximum: 1_000 }),
      },
      {
        name: "agent",
        description: "Only events of the actor `agent:NAME`.",
        schema: Type.String(),
      },
    ],
    success: { status: 200, description: "A stream of events.", schema: Event },
    errors: [
      "invalid_cursor",
      "invalid_tail_batch_size",
      "invalid_request",
      "invalid_websocket_upgrade",
      "invalid_session_id",
      "session_not_found",
    ],
    handle: (call) => streamEvents(options, call),
  };
}
