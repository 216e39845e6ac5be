import { randomBytes } from "node:crypto";
import {
  type Append,
  type Appended,
  type Create,
  decideAppend,
  decideArchive,
  decideCreate,
  decideErase,
  decideFork,
  decideImport,
  decidePatch,
  type Fork,
  indexable,
  indexedMembers,
  LogId,
  needsOfAppend,
  needsOfErase,
  needsOfFork,
  needsOfImport,
  type Patch,
} from "@daybook/core";
import type {
  Engine,
  ListPage,
  ListQuery,
  MessageQuery,
  Page,
  ReadLimits,
  Session,
  StoredEvent,
} from "@daybook/engine";
import { DaybookError, whyNotAnId } from "@daybook/protocol";
import { SessionActivity } from "./activity.js";
import type { Caller } from "./caller.js";
import type { ImportStep } from "./read-import.js";
import type { NewSession } from "./read-session.js";
import { Tail, type TailOptions, type TailSink } from "./tail.js";

/** What can be done with sessions. Dialects translate to these calls and back; only these know the engine. */
export class SessionService {
  /** Which sessions are in use. */
  readonly activity = new SessionActivity((id) => this.isThere(id));

  constructor(readonly engine: Engine) {}

  private isThere(id: LogId): boolean {
    const head = this.engine.head(id);
    return head !== undefined && head.status !== "deleted";
  }

  /** The log an id names for this caller. Ids live per tenant. @throws DaybookError invalid_session_id */
  logId(caller: Caller, id: string): LogId {
    const why = whyNotAnId(id);
    if (why !== undefined) throw new DaybookError("invalid_session_id", `The session id ${why}.`);
    return new LogId(caller.principal.tenant, id);
  }

  async create(caller: Caller, input: NewSession): Promise<Session> {
    const command = this.creation(caller, input);
    await this.engine.transact(command.session, {}, (head) => decideCreate(head, command));
    this.activity.began(command.session);
    return this.get(command.session);
  }

  /** Makes a session that shares another's events and state up to a seq. */
  async fork(
    caller: Caller,
    parent: LogId,
    { atSeq, ...input }: NewSession & { readonly atSeq: number | undefined },
  ): Promise<Session> {
    const create = this.creation(caller, input);
    const command: Fork = { parent, create, ...(atSeq !== undefined && { atSeq }) };
    await this.engine.transact(parent, needsOfFork(command), (head, facts) =>
      decideFork(head, facts, command),
    );
    this.activity.began(create.session);
    return this.get(create.session);
  }

  private creation(caller: Caller, { id, title, metadata }: NewSession): Create {
    const { type, id: creatorId } = caller.principal;
    return {
      // 120 random bits: nobody guesses one, and none is made twice.
      session: this.logId(caller, id ?? `ses_${randomBytes(15).toString("base64url")}`),
      header: { creator: { type, id: creatorId }, title, metadata },
    };
  }

  /** Takes over a session and its events from an export; can be sent again when it broke off. */
  async import(caller: Caller, id: LogId, { session, events }: ImportStep): Promise<{ lastSeq: number }> {
    if (caller.principal.type !== "service") {
      throw new DaybookError("forbidden", "Only a service may import: it writes in the name of others.");
    }
    if (session !== undefined) {
      const command: Create = { session: id, ...session };
      await this.engine.transact(id, {}, (head) => decideCreate(head, command));
      this.activity.began(id);
    }
    this.activity.used(id);
    return this.engine.transact(id, needsOfImport(events), (head, facts) =>
      decideImport(head, facts, events),
    );
  }

  async get(id: LogId): Promise<Session> {
    const session = await this.engine.session(id);
    if (session === undefined) throw notFound();
    return session;
  }

  list(query: ListQuery): Promise<ListPage> {
    return this.engine.list(query);
  }

  /** The same list for a caller who may see one session only. */
  async listOne(
    { tenant, archived, metadata, forkedFrom, after }: ListQuery,
    sessionId: string,
  ): Promise<Session[]> {
    const session = await this.engine.session(new LogId(tenant, sessionId));
    if (session === undefined || after !== undefined) return [];
    if (forkedFrom !== undefined && session.head.forkedFrom?.id !== forkedFrom) return [];
    if (archived !== "all" && session.head.archived !== (archived === "yes")) return [];
    const members = new Set(indexedMembers(session.header.metadata).map((member) => JSON.stringify(member)));
    return metadata.every(([name, value]) => members.has(JSON.stringify(indexable(name, value))))
      ? [session]
      : [];
  }

  append(id: LogId, command: Append): Promise<Appended> {
    this.activity.used(id);
    return this.engine.transact(id, needsOfAppend(command), (head, facts, now) =>
      decideAppend(head, facts, command, now),
    );
  }

  async patch(id: LogId, command: Patch): Promise<Session> {
    await this.engine.transact(id, { header: true }, (head, facts) => decidePatch(head, facts, command));
    return this.get(id);
  }

  async archive(id: LogId, archived: boolean): Promise<Session> {
    await this.engine.transact(id, {}, (head) => decideArchive(head, archived));
    return this.get(id);
  }

  async erase(id: LogId): Promise<void> {
    const needs = await this.engine.transact(id, {}, (head) => ({
      kind: "answer",
      answer: needsOfErase(id, head),
    }));
    return this.engine.transact(id, needs, (head) => decideErase(head, id));
  }

  /**
   * Erases a session with its forks and theirs, each once its own forks are gone. What was erased stays erased if this
   * breaks off; asked again it goes on.
   */
  async eraseWithForks(id: LogId): Promise<void> {
    while (!(await this.eraseUnlessForked(id))) {
      const { sessions } = await this.list({ ...ALL_SESSIONS, tenant: id.tenant, forkedFrom: id.id });
      if (sessions.length === 0) throw new Error("broken invariant: forks that are in no list");
      const erased = await Promise.all(sessions.map((fork) => gone(this.eraseUnlessForked(fork.id))));
      for (const [index, fork] of sessions.entries()) {
        // One after the other: however wide and deep the tree is, few of it are in memory.
        if (erased[index] === false) await gone(this.eraseWithForks(fork.id));
      }
    }
  }

  private async eraseUnlessForked(id: LogId): Promise<boolean> {
    try {
      await this.erase(id);
      return true;
    } catch (error) {
      if (error instanceof DaybookError && error.code === "session_has_forks") return false;
      throw error;
    }
  }

  /** The last readable seq. @throws DaybookError session_not_found */
  lastSeq(id: LogId): number {
    const head = this.engine.head(id);
    if (head === undefined || head.status === "deleted") throw notFound();
    return head.lastSeq;
  }

  /** The durable frontier; 0 once the session is gone. */
  durableSeq(id: LogId): number {
    return this.engine.head(id)?.lastSeq ?? 0;
  }

  /** A whole page, however many pieces the engine reads it in. */
  page(id: LogId, afterSeq: number, limit: number): Promise<Page> {
    return this.read(id, afterSeq, { eventsMax: limit, bytesMax: PAGE_BYTES_MAX });
  }

  async read(id: LogId, afterSeq: number, limits: ReadLimits): Promise<Page> {
    this.activity.used(id);
    return this.engine.read(id, afterSeq, limits);
  }

  /** Follows a session from a cursor on, once it is started. */
  tail(id: LogId, cursor: number, sink: TailSink, options: TailOptions = {}): Tail {
    this.activity.used(id);
    return new Tail(this.engine, id, cursor, sink, options);
  }

  messages(id: LogId, query: MessageQuery): AsyncIterable<StoredEvent> {
    this.activity.used(id);
    return this.engine.messages(id, query);
  }

  /** The page that ends just before a seq; shorter than asked when its events are very large. */
  async pageBefore(id: LogId, before: number, limit: number): Promise<Page> {
    const last = Math.min(before - 1, this.lastSeq(id));
    if (last <= 0) return { events: [], lastSeq: this.lastSeq(id) };
    for (let count = Math.min(limit, last); ; count = Math.ceil(count / 2)) {
      const page = await this.page(id, last - count, count);
      if (page.events.at(-1)?.seq === last) return page;
    }
  }

  /**
   * Resolves once there is something after the cursor, or the time is up, or earlier when told to: `onStop` is given
   * what ends the wait and answers with how to take that back.
   */
  async waitForMore(
    id: LogId,
    afterSeq: number,
    waitMs: number,
    onStop: (stop: () => void) => () => void,
  ): Promise<void> {
    if (waitMs === 0 || this.lastSeq(id) > afterSeq) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, waitMs);
      const unwatch = this.engine.watch(id, () => {
        // A hint may be about the record only: that is nothing to read.
        const head = this.engine.head(id);
        if (head === undefined || head.status === "deleted" || head.lastSeq > afterSeq) done();
      });
      const takeBack = onStop(done);
      function done(): void {
        clearTimeout(timer);
        unwatch();
        takeBack();
        resolve();
      }
    });
  }
}

const ALL_SESSIONS = { archived: "all", metadata: [], sort: "id", order: "asc", limit: 100 } as const;

/** Somebody else may have erased it first: that is as good. */
async function gone<Result>(erasing: Promise<Result>): Promise<Result | undefined> {
  try {
    return await erasing;
  } catch (error) {
    if (error instanceof DaybookError && error.code === "session_not_found") return undefined;
    throw error;
  }
}

/** A page of large events ends early; the reader goes on from its cursor. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;

export function notFound(): DaybookError {
  return new DaybookError(
    "session_not_found",
    "There is no session with this id. Create it with POST /v1/sessions.",
  );
}
