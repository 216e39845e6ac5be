import type { Engine, LifecycleItem } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import { type PagedSink, type PagedSource, PagedTail } from "./paged-tail.js";
import { sharedJson } from "./session-record.js";
import { type Caller, requireNoLock, requireScope } from "./caller.js";

/** Who may follow what happens to all sessions of a tenant. @throws DaybookError forbidden and its kin */
export function requireMayFollowLifecycle(caller: Caller): void {
  requireScope(caller, "session:read");
  requireNoLock(caller);
  if (caller.principal.type === "service") return;
  throw new DaybookError("forbidden", "Only a service may follow the lifecycle of all sessions.");
}

/** One item as the wire shows it. Of an erased session only what happened, and to which, is left. */
export function lifecycleJson(
  { kind, session, atMs, version, header, forkedFrom, fork }: LifecycleItem,
  cursor?: string,
): string {
  const at = new Date(atMs).toISOString();
  let text = `{"kind":"session.${kind}","session_id":${JSON.stringify(session.id)},"tenant_id":${JSON.stringify(session.tenant)}`;
  if (header !== undefined)
    text += `,"title":${JSON.stringify(header.title)},"metadata":${header.metadata},"version":${version}`;
  if (header !== undefined) text += kind === "created" ? `,"created_at":"${at}"` : `,"updated_at":"${at}"`;
  if (forkedFrom !== undefined) text += `,"forked_from":${sharedJson(forkedFrom)}`;
  if (fork !== undefined) text += `,"fork":${sharedJson(fork)}`;
  if (kind === "archived" || kind === "unarchived") text += `,"archived":${String(kind === "archived")}`;
  text += `,"occurred_at":"${at}"`;
  if (cursor !== undefined) text += `,"cursor":"${cursor}"`;
  return `${text}}`;
}

export const encodePlace = (place: string): string => Buffer.from(`lifecycle ${place}`).toString("base64url");

/** @throws DaybookError invalid_cursor */
export function decodePlace(cursor: string): string {
  const place = /^lifecycle (\d+\.\d+)$/.exec(Buffer.from(cursor, "base64url").toString("utf8"))?.[1];
  if (place !== undefined) return place;
  throw new DaybookError(
    "invalid_cursor",
    "cursor must be a next_cursor that the lifecycle feed answered with.",
  );
}

const PAGE = 100;

/** Follows a tenant's feed from a place on. */
export function lifecycleTail(
  engine: Engine,
  tenant: string,
  place: string | undefined,
  sink: PagedSink<LifecycleItem>,
): PagedTail<LifecycleItem, string | undefined> {
  const source: PagedSource<LifecycleItem, string | undefined> = {
    read: async (after) =>
      (await engine.lifecycle(tenant, after === undefined ? { limit: PAGE } : { after, limit: PAGE })).items,
    placeOf: (item) => item.place,
    watch: (moved) => engine.watchLifecycle(tenant, moved),
  };
  return new PagedTail(source, place, sink);
}
