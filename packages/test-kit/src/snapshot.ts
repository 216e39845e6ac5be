import type { Engine } from "@daybook/engine";
import { listAll, readAll, sessionId, TENANT } from "@daybook/engine/contract/commands";

/** All that an engine answers about some sessions, to be compared with what another or a later one answers. */
export async function snapshotOf(engine: Engine, ids: Iterable<string>): Promise<Record<string, unknown>> {
  const snapshot: Record<string, unknown> = {};
  for (const id of ids) {
    const head = engine.head(sessionId(id));
    const gone = head === undefined || head.status === "deleted";
    snapshot[id] = gone
      ? (head?.status ?? "none")
      : {
          head,
          session: await engine.session(sessionId(id)),
          events: await readAll(engine, id),
          messages: await engine.messageSeqs(sessionId(id), { fromSeq: 0, limit: 1_000_000 }),
        };
  }
  for (const sort of ["id", "created", "updated"] as const) {
    for (const order of ["asc", "desc"] as const) {
      for (const archived of ["no", "yes", "all"] as const) {
        for (const color of [undefined, "red", "blue"]) {
          const metadata = color === undefined ? [] : ([["color", color]] as const);
          const query = { tenant: TENANT, archived, metadata, sort, order, limit: 3 };
          snapshot[`${sort} ${order} ${archived} ${color ?? ""}`] = await listAll(engine, query);
        }
      }
    }
  }
  return snapshot;
}
