import { decodeEvent, type NewEvent, readStateChange } from "@daybook/core";
import type { Engine, ListQuery } from "@daybook/engine";
import {
  append,
  archive,
  create,
  erase,
  fork,
  patch,
  sessionId,
  TENANT,
} from "@daybook/engine/contract/commands";
import { DaybookError, type ErrorCode, RawJson } from "@daybook/protocol";
import { SessionService } from "@daybook/server";
import type { Random } from "./random.js";
import { type Attempt, type HeaderChange, SessionModel } from "./session-model.js";

/** After these it is not known whether the command took effect. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["storage_unavailable", "shutting_down"]);

const WEIGHTS = {
  append: 8,
  batch: 3,
  appendState: 2,
  appendKeyed: 2,
  retry: 2,
  twice: 1,
  create: 2,
  patch: 2,
  archive: 1,
  erase: 1,
  fork: 1.5,
  cascade: 0.3,
  read: 4,
  list: 0.5,
} as const;

/**
 * Random use of an engine by a few workers at once, remembered in a model: what was acknowledged, what was shown to
 * readers, what may have happened. Whatever contradicts it is thrown.
 */
export class Workload {
  readonly sessions = new Map<string, SessionModel>();
  /** Those being erased together with their forks. */
  private readonly cascading = new Set<SessionModel>();
  private tokens = 0;

  constructor(
    private readonly random: Random,
    /** Stands at the front of every token. */
    private readonly name: string,
  ) {}

  /** Runs until the steps are done or `isOver` says so, which is asked between two steps. */
  async run(engine: Engine, { workers, steps, isOver }: RunOptions): Promise<void> {
    const work = async (worker: string): Promise<void> => {
      for (let step = 0; step < steps && !isOver(); step++) await this.step(engine, worker);
    };
    await Promise.all(Array.from({ length: workers }, (_, index) => work(`w${index}`)));
  }

  private async step(engine: Engine, worker: string): Promise<void> {
    const known = [...this.sessions.values()];
    const kind = known.length === 0 ? "create" : this.random.weighted(WEIGHTS);
    if (kind === "create") return this.create(engine);
    if (kind === "list") return this.list(engine);
    const session = this.random.pick(known);
    switch (kind) {
      case "append":
      case "batch":
      case "appendState":
      case "appendKeyed":
      case "retry":
      case "twice":
        return this.append(engine, session, worker, kind);
      case "read":
        return this.read(engine, session);
      case "fork":
        return this.fork(engine, session);
      case "cascade":
        return this.cascade(engine, session);
      case "patch":
      case "archive":
      case "erase":
        return this.changeHeader(engine, session, kind);
    }
  }

  private async create(engine: Engine): Promise<void> {
    const lost = [...this.sessions.values()].filter(
      ({ fate, pending }) => fate === "none" && pending === undefined,
    );
    const session = lost[0] ?? new SessionModel(`s${this.sessions.size}`);
    this.sessions.set(session.id, session);
    // It may be that of a fork that never came to be.
    session.parent = undefined;
    session.sharedSeq = 0;
    const title = this.random.chance(0.5) ? this.token() : null;
    const metadata = `{"color":"${this.random.pick(["red", "blue"])}","mark":"${this.token()}"}`;
    session.pending = { kind: "create", header: { title, metadata, version: 1, archived: false } };
    await this.carryOut(session, session.pending, () => create(engine, session.id, { title, metadata }));
  }

  private async fork(engine: Engine, parent: SessionModel): Promise<void> {
    // What becomes of a fork that a cascade overtakes is not for the model to say.
    if (this.cascading.has(parent)) return;
    const session = new SessionModel(`s${this.sessions.size}`);
    this.sessions.set(session.id, session);
    session.parent = parent;
    const header = { title: null, metadata: "{}", version: 1, archived: false };
    const change: HeaderChange = { kind: "create", header };
    session.pending = change;
    const mayBeMissing = (): boolean => parent.mayBeMissing;
    const wasMissing = mayBeMissing();
    const atSeq = this.random.chance(0.7) ? this.random.upTo(parent.lastAcknowledged) : undefined;
    const error = await this.refusalOf(() => fork(engine, parent.id, session.id, atSeq));
    if (error === undefined) {
      session.acknowledge(change);
      session.sharedSeq = engine.head(sessionId(session.id))?.forkedFrom?.seq ?? -1;
      const wrong = session.sharedSeq < 0 || session.sharedSeq !== (atSeq ?? session.sharedSeq);
      this.must(!wrong, `${session.id}: forked at ${session.sharedSeq}, not ${atSeq ?? "the end"}`);
      session.lastAcknowledged = session.sharedSeq;
      return;
    }
    if (UNKNOWN.has(error.code)) return;
    if (error.code !== "session_not_found" || !(wasMissing || mayBeMissing())) throw error;
    session.settle("none");
  }

  /** Erases a session and all its forks, unless something is under way with one of them. */
  private async cascade(engine: Engine, session: SessionModel): Promise<void> {
    const tree = this.treeOf(session);
    if (typeof session.fate === "string" || tree.some(({ pending }) => pending !== undefined)) return;
    const living = tree.filter(({ fate }) => typeof fate !== "string");
    for (const one of living) {
      one.pending = { kind: "erase" };
      this.cascading.add(one);
    }
    const error = await this.refusalOf(() =>
      new SessionService(engine).eraseWithForks(sessionId(session.id)),
    );
    for (const one of living) {
      this.cascading.delete(one);
      if (error === undefined) one.acknowledge({ kind: "erase" });
    }
    if (error !== undefined && !UNKNOWN.has(error.code)) throw error;
  }

  private forksOf(session: SessionModel): SessionModel[] {
    return [...this.sessions.values()].filter(({ parent }) => parent === session);
  }

  private treeOf(session: SessionModel): SessionModel[] {
    return [session, ...this.forksOf(session).flatMap((one) => this.treeOf(one))];
  }

  private async changeHeader(
    engine: Engine,
    session: SessionModel,
    kind: "patch" | "archive" | "erase",
  ): Promise<void> {
    if (session.pending !== undefined || typeof session.fate === "string") return;
    const change = this.headerChange(kind);
    session.pending = change;
    await this.carryOut(session, change, () => {
      if (change.kind === "patch") return patch(engine, session.id, change);
      if (change.kind === "archive") return archive(engine, session.id, change.archived);
      return erase(engine, session.id);
    });
  }

  private headerChange(kind: "patch" | "archive" | "erase"): Exclude<HeaderChange, { kind: "create" }> {
    if (kind === "erase") return { kind };
    if (kind === "archive") return { kind, archived: this.random.chance(0.5) };
    const metadata = `{"${this.random.pick(["color", "size"])}":"${this.token()}"}`;
    return { kind, title: this.token(), metadata };
  }

  private async carryOut(
    session: SessionModel,
    change: HeaderChange,
    command: () => Promise<void>,
  ): Promise<void> {
    const mayHaveForks = (): boolean => this.forksOf(session).some(({ mayLive }) => mayLive);
    const hadForks = mayHaveForks();
    const error = await this.refusalOf(command);
    if (error === undefined) {
      session.acknowledge(change);
      const orphan = this.forksOf(session).find(({ mayBeMissing }) => !mayBeMissing);
      this.must(
        change.kind !== "erase" || orphan === undefined,
        `${session.id} was erased under its fork ${orphan?.id ?? ""}`,
      );
      return;
    }
    if (UNKNOWN.has(error.code)) return;
    if (error.code !== "session_has_forks" || !(hadForks || mayHaveForks())) throw error;
    session.pending = undefined;
  }

  private async append(
    engine: Engine,
    session: SessionModel,
    worker: string,
    kind: "append" | "batch" | "appendState" | "appendKeyed" | "retry" | "twice",
  ): Promise<void> {
    const isAgain = kind === "retry" || kind === "twice";
    const isKeyed = kind === "appendKeyed" || (isAgain && this.random.chance(0.3));
    // Whoever uses keys numbers nothing, and has attempts of his own.
    const writer = isKeyed ? `${worker} by key` : worker;
    const before = session.newest.get(writer);
    const attempt =
      before !== undefined && (before.seqs === undefined || kind === "retry")
        ? before
        : isKeyed
          ? this.keyedAttempt()
          : this.attempt(worker, before, kind);
    if (attempt !== before) {
      session.attempts.push(attempt);
      session.newest.set(writer, attempt);
    }
    const sends = [this.send(engine, session, attempt)];
    // A retry that overtakes its first try.
    if (kind === "twice") sends.push(this.send(engine, session, attempt));
    await Promise.all(sends);
  }

  private attempt(worker: string, before: Attempt | undefined, kind: string): Attempt {
    const last = before?.events.at(-1)?.producer?.seq ?? this.random.upTo(50);
    const count = kind === "batch" ? this.random.between(1, 8) : 1;
    const tokens = Array.from({ length: count }, () => this.token());
    const events = tokens.map((token, index): NewEvent => {
      const filler = this.random.chance(0.1) ? "x".repeat(this.random.upTo(3_000)) : "";
      const isMessage = this.random.chance(0.3);
      const message = isMessage ? MESSAGE_MEMBERS : "";
      const event = {
        type: isMessage ? "message" : "note",
        actor: "agent:a",
        payload: `{"token":"${token}","filler":"${filler}"${message}}`,
        producer: { id: worker, seq: last + 1 + index },
      };
      return kind === "appendState" ? { ...event, state: this.stateChange(token) } : event;
    });
    return { events, tokens, batch: kind === "batch", seqs: undefined };
  }

  private keyedAttempt(): Attempt {
    const token = this.token();
    const payload = `{"token":"${token}"${MESSAGE_MEMBERS}}`;
    const event = { type: "message", actor: "agent:a", payload, producer: null, idempotencyKey: token };
    return { events: [event], tokens: [token], batch: false, seqs: undefined };
  }

  private stateChange(token: string): NonNullable<NewEvent["state"]> {
    const key = this.random.pick(["a", "b", "c"]);
    const text = this.random.chance(0.7) ? `{"set":{"${key}":"${token}"}}` : `{"delete":["${key}"]}`;
    return readStateChange(new RawJson(text, "object"));
  }

  /** Sends an attempt, the first time or again. */
  async send(engine: Engine, session: SessionModel, attempt: Attempt): Promise<void> {
    const known = attempt.seqs;
    const { events, batch } = attempt;
    const error = await this.refusalOf(async () => {
      const { results, lastSeq } = await append(engine, session.id, { events, batch });
      const seqs = results.map(({ seq }) => seq);
      this.must(
        known === undefined || results.every(({ deduped }) => deduped),
        `${session.id}: a retry was written`,
      );
      this.must(
        attempt.seqs === undefined || String(seqs) === String(attempt.seqs),
        `${session.id}: seqs ${String(seqs)} after ${String(attempt.seqs)}`,
      );
      this.must(
        seqs.every((seq, index) => index === 0 || seq === (seqs[index - 1] as number) + 1),
        `${session.id}: a batch got ${String(seqs)}`,
      );
      attempt.seqs = seqs;
      session.lastAcknowledged = Math.max(session.lastAcknowledged, lastSeq);
    });
    if (error === undefined || UNKNOWN.has(error.code)) return;
    if (error.code === "session_not_found" && session.mayBeMissing) return;
    throw error;
  }

  private async read(engine: Engine, session: SessionModel): Promise<void> {
    const { lastAcknowledged } = session;
    const after = this.random.upTo(session.shown.length);
    const limits = { eventsMax: this.random.between(1, 20), bytesMax: this.random.pick([1, 500, 1_000_000]) };
    const error = await this.refusalOf(async () => {
      const page = await engine.read(sessionId(session.id), after, limits);
      const first = page.events[0];
      this.must(
        first === undefined || first.seq === after + 1,
        `${session.id}: ${first?.seq ?? 0} after ${after}`,
      );
      this.must(
        page.lastSeq >= lastAcknowledged,
        `${session.id}: ends at ${page.lastSeq}, not ${lastAcknowledged}`,
      );
      this.must(
        page.events.length > 0 || after >= page.lastSeq,
        `${session.id}: an empty page after ${after} of ${page.lastSeq}`,
      );
      const wrong = session.show(
        after + 1,
        page.events.map(({ bytes }) => bytes.toString("utf8")),
      );
      this.must(wrong === undefined, wrong ?? "");
    });
    if (error === undefined || UNKNOWN.has(error.code)) return;
    if (error.code !== "session_not_found" || !session.mayBeMissing) throw error;
  }

  private async list(engine: Engine): Promise<void> {
    const certain = [...this.sessions.values()].filter(
      ({ fate, pending }) => typeof fate !== "string" && pending === undefined,
    );
    const query: ListQuery = {
      tenant: TENANT,
      archived: "all",
      metadata: [],
      sort: this.random.pick(["id", "created", "updated"] as const),
      order: this.random.pick(["asc", "desc"] as const),
      limit: 1_000,
    };
    await this.refusalOf(async () => {
      const { sessions } = await engine.list(query);
      const listed = new Set(sessions.map(({ id }) => id.id));
      for (const session of certain) {
        const still = session.pending === undefined && session.fate !== "erased";
        this.must(!still || listed.has(session.id), `${session.id} is not in the list`);
      }
    });
  }

  /** Undefined when it went well; errors that are no refusals are thrown. */
  private async refusalOf(command: () => Promise<void>): Promise<DaybookError | undefined> {
    try {
      await command();
      return undefined;
    } catch (error) {
      if (error instanceof DaybookError) return error;
      throw error;
    }
  }

  private must(condition: boolean, broken: string): void {
    if (!condition) throw new Error(`${this.name}: ${broken}`);
  }

  private token(): string {
    return `${this.name}.${String(this.tokens++).padStart(5, "0")}`;
  }
}

const MESSAGE_MEMBERS = `,"role":"user","parts":[{"type":"text","text":"hi"}]`;

export interface RunOptions {
  readonly workers: number;
  readonly steps: number;
  readonly isOver: () => boolean;
}

export const tokenOf = (json: string): string =>
  (JSON.parse(decodeEvent(json).payload.text) as { token: string }).token;
