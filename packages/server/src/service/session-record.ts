import type { Session } from "@daybook/engine";

/** A session as the wire shows it. Built as text: metadata goes out as it came in. */
export function recordJson({ id, head, header }: Session): string {
  const { forkedFrom } = head;
  const creator = { tenant_id: id.tenant, id: header.creator.id, type: header.creator.type };
  return (
    `{"id":${JSON.stringify(id.id)},"title":${JSON.stringify(header.title)},"metadata":${header.metadata}` +
    `,"tenant_id":${JSON.stringify(id.tenant)},"creator_principal":${JSON.stringify(creator)}` +
    `,"last_seq":${head.lastSeq},"archived":${String(head.archived)}` +
    `,"created_at":"${new Date(head.createdAtMs).toISOString()}"` +
    `,"updated_at":"${new Date(head.updatedAtMs).toISOString()}","version":${head.version}` +
    (forkedFrom === undefined ? "}" : `,"forked_from":${sharedJson(forkedFrom)}}`)
  );
}

/** The session at the other end of a fork, and the last seq they share. */
export function sharedJson({ id, seq }: { readonly id: string; readonly seq: number }): string {
  return `{"session_id":${JSON.stringify(id)},"seq":${seq}}`;
}
