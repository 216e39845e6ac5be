import { ForkSession, SessionRecord } from "@daybook/protocol/schemas";
import { type Route, sendJson } from "../http/route.js";
import { requireScope } from "../service/caller.js";
import { HEADER_BODY_BYTES_MAX, readFork } from "../service/read-session.js";
import { recordJson } from "../service/session-record.js";
import type { SessionService } from "../service/session-service.js";

export function forkRoute(service: SessionService): Route {
  return {
    method: "POST",
    path: "/v1/sessions/:id/fork",
    // A fork is another session than the one that a token may be for.
    access: { scope: "session:create", locked: "none" },
    summary: "Fork a session",
    description:
      "Makes a session with the events and the state of this one up to a seq, shared and not copied; from there each " +
      "goes its own way. Needs the scope session:read too. Title, metadata, flags and producers are not inherited.",
    body: ForkSession,
    success: { status: 201, description: "The new session's record.", schema: SessionRecord },
    errors: [
      "invalid_session",
      "invalid_session_id",
      "invalid_metadata",
      "invalid_cursor",
      "forbidden_scope",
      "forbidden_session",
      "session_not_found",
      "session_exists",
      "session_deleted",
      "fork_too_deep",
    ],
    bodyBytesMax: HEADER_BODY_BYTES_MAX,
    handle: async ({ caller, params, body, reply }) => {
      requireScope(caller, "session:read");
      const parent = service.logId(caller, params.id ?? "");
      return sendJson(reply, 201, recordJson(await service.fork(caller, parent, readFork(body))));
    },
  };
}
