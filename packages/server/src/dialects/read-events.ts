import { DaybookError, LIMITS } from "@daybook/protocol";
import type { Page } from "@daybook/engine";
import type { LogId } from "@daybook/core";
import type { FastifyReply } from "fastify";
import { type Authenticator, type TokenEnd, tokenEnded } from "../auth/authenticator.js";
import type { DrainList } from "../http/drain.js";
import { type Call, sendJson } from "../http/route.js";
import type { Metrics } from "../metrics.js";
import { eventArray, eventPrefix } from "../service/event-frame.js";
import { readCursor, refuseBeyond } from "../service/query.js";
import type { SessionService } from "../service/session-service.js";

export interface ReadEventsOptions {
  readonly metrics: Metrics;
  readonly drains: DrainList;
  readonly authenticator: Authenticator;
}

/** `GET …/events`: a page after a cursor or before a seq, at once or as a long poll. */
export async function readEvents(
  service: SessionService,
  { caller, params, query, request, reply }: Call,
  { drains, authenticator, metrics }: ReadEventsOptions,
): Promise<FastifyReply> {
  const id = service.logId(caller, params.id ?? "");
  const cursor = readCursor(query);
  const before = query.integer("before", "invalid_cursor", { minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
  const limit =
    query.integer("limit", "invalid_limit", { minimum: 1, maximum: LIMITS.pageSizeMax }) ??
    LIMITS.pageSizeDefault;
  const wait = query.integer("wait", "invalid_request", { minimum: 0, maximum: LIMITS.waitSecondsMax });
  if (before !== undefined && (cursor !== undefined || wait !== undefined)) {
    throw new DaybookError("invalid_cursor", "before goes with neither cursor nor wait.");
  }
  let endedBy: TokenEnd | undefined;
  const page =
    before === undefined
      ? await pageAfter(service, id, { cursor: cursor ?? 0, limit, waitMs: (wait ?? 0) * 1000 }, (stop) => {
          metrics.openTails.inc({ kind: "poll" });
          request.raw.once("close", stop);
          const undo = [
            drains.add({ drain: stop }),
            authenticator.onEnd(caller, (how) => {
              endedBy = how;
              stop();
            }),
          ];
          return () => {
            metrics.openTails.dec({ kind: "poll" });
            request.raw.off("close", stop);
            for (const one of undo) one();
          };
        })
      : await service.pageBefore(id, before, limit);
  // Nothing that came after the token's end is for its holder.
  if (endedBy !== undefined) throw tokenEnded(endedBy);
  const last = page.events.at(-1)?.seq ?? cursor ?? 0;
  const events = eventArray(eventPrefix(caller.principal.tenant), page.events);
  const head = Buffer.from('{"events":');
  const tail = Buffer.from(`,"next_cursor":${last},"last_seq":${page.lastSeq}}`);
  return sendJson(reply, 200, Buffer.concat([head, events, tail]));
}

async function pageAfter(
  service: SessionService,
  id: LogId,
  { cursor, limit, waitMs }: { cursor: number; limit: number; waitMs: number },
  onStop: (stop: () => void) => () => void,
): Promise<Page> {
  refuseBeyond(cursor, service.lastSeq(id));
  await service.waitForMore(id, cursor, waitMs, onStop);
  return service.page(id, cursor, limit);
}
