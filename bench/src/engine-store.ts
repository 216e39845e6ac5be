import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decideAppend, decideCreate, encodeEvent, LogId, needsOfAppend, type NewEvent } from "@daybook/core";
import { type EmbeddedEngine, openEngine } from "@daybook/engine-embedded";
import { sessionId } from "./load-task.js";

/** What an event takes in the log: its JSON, and the frame's header. */
export const EVENT_BYTES = 400;
export const FRAME_BYTES = EVENT_BYTES + 40;

const PRODUCER = "bench";
const CREATED_AT_ONCE = 5_000;

/** An event whose JSON, as it is stored, has about 400 bytes: its numbers take a few more or less. */
export function eventOf(producerSeq: number): NewEvent {
  return { type: TYPE, actor: ACTOR, payload: PAYLOAD, producer: { id: PRODUCER, seq: producerSeq } };
}

const TYPE = "chat.message";
const ACTOR = "agent:bench";
const PAYLOAD = `{"text":"${"x".repeat(EVENT_BYTES - emptyEventBytes())}"}`;

function emptyEventBytes(): number {
  const producer = { id: PRODUCER, seq: 1_000 };
  const event = { type: TYPE, actor: ACTOR, payload: '{"text":""}', producer };
  return encodeEvent(event, 1_000, "2026-01-01T00:00:00.000Z").length;
}

/** Sessions of a store under test, each with one producer that goes on from where it was. */
export class Sessions {
  readonly ids: readonly LogId[];
  private readonly appended: number[];
  private next = 0;

  constructor(prefix: string, count: number) {
    this.ids = Array.from(
      { length: count },
      (_, index) => new LogId("bench", sessionId({ prefix, count }, index)),
    );
    this.appended = this.ids.map(() => 0);
  }

  async create(engine: EmbeddedEngine): Promise<void> {
    const header = { creator: { type: "service", id: "bench" }, title: null, metadata: "{}" };
    for (let first = 0; first < this.ids.length; first += CREATED_AT_ONCE) {
      await Promise.all(
        this.ids
          .slice(first, first + CREATED_AT_ONCE)
          .map((session) => engine.transact(session, {}, (head) => decideCreate(head, { session, header }))),
      );
    }
  }

  /** Appends to the next session, going around in an order that no cache likes. */
  appendNext(engine: EmbeddedEngine, count = 1): Promise<unknown> {
    // A prime that divides no session count in use: every session gets its turn.
    this.next = (this.next + 7_919) % this.ids.length;
    return this.append(engine, this.next, count);
  }

  append(engine: EmbeddedEngine, session: number, count = 1): Promise<unknown> {
    const id = this.ids[session];
    const before = this.appended[session];
    if (id === undefined || before === undefined) throw new Error(`there is no session ${session}`);
    this.appended[session] = before + count;
    const events: NewEvent[] = [];
    for (let seq = before + 1; seq <= before + count; seq++) events.push(eventOf(seq));
    const command = { events, batch: count > 1 };
    return engine.transact(id, needsOfAppend(command), (head, facts, now) =>
      decideAppend(head, facts, command, now),
    );
  }
}

/** A folder of its own for one scenario, removed at the end. */
export class Folder implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(): Promise<Folder> {
    return new Folder(await mkdtemp(join(tmpdir(), "daybook-bench-")));
  }

  get data(): string {
    return join(this.path, "data");
  }

  /** Opens the store in it. What is fatal ends the benchmark. */
  open(): Promise<EmbeddedEngine> {
    const fatal = (error: Error): never => {
      throw error;
    };
    return openEngine(this.data, { events: { fatal } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

/** Until the views have everything: what comes next is measured without them. */
export async function viewsCaughtUp(engine: EmbeddedEngine): Promise<void> {
  await engine.list({
    tenant: "bench",
    archived: "no",
    metadata: [],
    sort: "id",
    order: "asc",
    limit: 1,
  });
}
