import {
  agentStateLog,
  type Append,
  type Appended,
  type CommitOperation,
  type Decision,
  decideAppend,
  decideArchive,
  decideClose,
  decideCommit,
  decideCreate,
  decideErase,
  decideFork,
  decidePatch,
  type Facts,
  type Fork,
  type Head,
  LogId,
  needsOfAppend,
  needsOfCommit,
  needsOfErase,
  needsOfFork,
  type NewEvent,
  type Patch,
} from "@daybook/core";
import type { Engine, ListQuery, ReadLimits } from "../engine.js";

/** The use cases as tests call them, straight on an engine. */
export const TENANT = "acme";

export const sessionId = (id: string, tenant = TENANT): LogId => new LogId(tenant, id);

export const ALL: ReadLimits = { eventsMax: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER };

export function create(
  engine: Engine,
  id: string,
  header: { title?: string | null; metadata?: string } = {},
): Promise<void> {
  const session = sessionId(id);
  const creator = { type: "user", id: "ann" };
  const whole = { creator, title: header.title ?? null, metadata: header.metadata ?? "{}" };
  return engine.transact(session, {}, (head) => decideCreate(head, { session, header: whole }));
}

export function append(engine: Engine, id: string, command: Append): Promise<Appended> {
  return engine.transact(sessionId(id), needsOfAppend(command), (head, facts, now) =>
    decideAppend(head, facts, command, now),
  );
}

export const AGENT_LOG = agentStateLog(TENANT);

/** Commits operations to the log of agents' state; answers the seq. */
export async function commit(engine: Engine, operations: readonly CommitOperation[]): Promise<number> {
  const command = {
    ...{ log: AGENT_LOG, id: "t", actor: "agent:a", operations },
    ...{ conditions: new Map<string, number>(), producer: null },
  };
  const { lastSeq } = await engine.transact(AGENT_LOG, needsOfCommit(command), (head, facts, now) =>
    decideCommit(head, facts, command, now),
  );
  return lastSeq;
}

/** Appends one small event. */
export async function appendOne(engine: Engine, id: string, event: NewEvent): Promise<number> {
  const { results } = await append(engine, id, { events: [event], batch: false });
  return results[0]?.seq ?? 0;
}

export function patch(engine: Engine, id: string, command: Patch): Promise<void> {
  return engine.transact(sessionId(id), { header: true }, (head, facts) => decidePatch(head, facts, command));
}

export function archive(engine: Engine, id: string, archived: boolean): Promise<void> {
  return engine.transact(sessionId(id), {}, (head) => decideArchive(head, archived));
}

/** Ends a session's events. */
export function closeSession(engine: Engine, id: string): Promise<void> {
  return engine.transact(sessionId(id), {}, (head) => decideClose(head));
}

export async function erase(engine: Engine, id: string): Promise<void> {
  const session = sessionId(id);
  const needs = await engine.transact(session, {}, (head) => ({
    kind: "answer",
    answer: needsOfErase(session, head),
  }));
  return engine.transact(session, needs, (head) => decideErase(head, session));
}

/** Forks a session, at its end unless a seq is named. */
export function fork(engine: Engine, id: string, forkId: string, atSeq?: number): Promise<void> {
  const header = { creator: { type: "user", id: "ann" }, title: null, metadata: "{}" };
  const create = { session: sessionId(forkId), header };
  const command: Fork = { parent: sessionId(id), create, ...(atSeq !== undefined && { atSeq }) };
  return engine.transact(command.parent, needsOfFork(command), (head, facts) =>
    decideFork(head, facts, command),
  );
}

/** What decide would be told: a look at the facts that changes nothing. */
export function factsOf<Seen>(
  engine: Engine,
  id: string,
  needs: Parameters<Engine["transact"]>[1],
  look: (head: Head | undefined, facts: Facts) => Seen,
): Promise<Seen> {
  return engine.transact(sessionId(id), needs, (head, facts): Decision<Seen> => {
    return { kind: "answer", answer: look(head, facts) };
  });
}

export function note(producer: string, seq: number, payload = "{}"): NewEvent {
  return { type: "note", actor: "agent:a", payload, producer: { id: producer, seq } };
}

/** All events of a session, as text. */
export async function readAll(engine: Engine, id: string): Promise<string[]> {
  const events: string[] = [];
  for (;;) {
    const page = await engine.read(sessionId(id), events.length, { eventsMax: 7, bytesMax: 20_000 });
    for (const event of page.events) {
      if (event.seq !== events.length + 1) throw new Error(`seq ${event.seq} after ${events.length}`);
      events.push(event.bytes.toString("utf8"));
    }
    if (page.events.length === 0) {
      if (page.lastSeq !== events.length)
        throw new Error(`no events after ${events.length} of ${page.lastSeq}`);
      return events;
    }
  }
}

/** All of a tenant's sessions, by id, on one page. Spread it to ask for something else. */
export const BY_ID: ListQuery = {
  tenant: TENANT,
  archived: "all",
  metadata: [],
  sort: "id",
  order: "asc",
  limit: 100,
};

/** The ids on every page of a list. */
export async function listAll(engine: Engine, query: ListQuery): Promise<string[]> {
  const ids: string[] = [];
  let after = query.after;
  for (;;) {
    const page = await engine.list(after === undefined ? query : { ...query, after });
    ids.push(...page.sessions.map(({ id }) => id.id));
    if (page.next === undefined) return ids;
    after = page.next;
  }
}
