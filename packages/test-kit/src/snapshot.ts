import type { Engine, StateEntry } from "@daybook/engine";
import { listAll, readAll, sessionId, TENANT } from "@daybook/engine/contract/commands";

const FORKS = { tenant: TENANT, archived: "all", metadata: [], sort: "id", order: "asc", limit: 3 } as const;

/** The state at every seq. */
async function statesOf(engine: Engine, id: string, lastSeq: number): Promise<StateEntry[][]> {
  const states: StateEntry[][] = [];
  for (let atSeq = 0; atSeq <= lastSeq; atSeq++) {
    const { entries } = await engine.state(sessionId(id), { atSeq, limit: 100 });
    states.push([...entries]);
  }
  return states;
}

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
          forks: await listAll(engine, { ...FORKS, forkedFrom: id }),
          states: await statesOf(engine, id, head.lastSeq),
          messages: await messageSeqs(engine, id),
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

async function messageSeqs(engine: Engine, id: string): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { seq } of engine.messages(sessionId(id), { fromSeq: 0, limit: 1_000_000 }))
    seqs.push(seq);
  return seqs;
}
