import postgres, { type Sql } from "postgres";
import { APPEND } from "./postgres-sql.js";
import type { Appended, NewEvent, Refused } from "./store.js";

export interface AppendLanesOptions {
  /** Connections, each with one statement in flight. A session always goes by the same one. */
  readonly lanes: number;
  /** Events of different callers that share a statement; 1 gives every append its own. */
  readonly eventsMax: number;
}

interface Waiting {
  readonly id: string;
  readonly events: readonly NewEvent[];
  readonly resolve: (outcome: Appended | Refused) => void;
  readonly reject: (error: unknown) => void;
}

interface Row {
  readonly seq: number | null;
  readonly deduped: boolean;
  readonly conflict: boolean;
}

const UNIQUE_VIOLATION = "23505";
const DEADLOCK = "40P01";

/** Group commit above the database: while one statement runs, the appends that come meanwhile wait for the next one. */
export class AppendLanes {
  private readonly lanes: Lane[];

  constructor(
    private readonly sql: Sql,
    { lanes, eventsMax }: AppendLanesOptions,
    appended: (ids: readonly string[]) => void,
  ) {
    const run = (appends: readonly Waiting[]): Promise<void> => this.run(appends, appended);
    this.lanes = Array.from({ length: lanes }, () => new Lane(eventsMax, run));
  }

  append(id: string, events: readonly NewEvent[]): Promise<Appended | Refused> {
    return new Promise((resolve, reject) => {
      this.lanes[hash(id) % this.lanes.length]?.add({ id, events, resolve, reject });
    });
  }

  private async run(appends: readonly Waiting[], appended: (ids: readonly string[]) => void): Promise<void> {
    try {
      const rows = await this.store(appends);
      let at = 0;
      for (const { events, resolve } of appends) resolve(outcomeOf(rows.slice(at, (at += events.length))));
      appended(appends.map(({ id }) => id));
    } catch (error) {
      await this.runAlone(appends, appended, error);
    }
  }

  /** One that cannot be stored must not take the others with it. */
  private async runAlone(
    appends: readonly Waiting[],
    appended: (ids: readonly string[]) => void,
    error: unknown,
  ): Promise<void> {
    const isRace =
      error instanceof postgres.PostgresError && [UNIQUE_VIOLATION, DEADLOCK].includes(error.code);
    const [first] = appends;
    if (first === undefined) return;
    if (appends.length > 1) for (const append of appends) await this.run([append], appended);
    else if (!isRace) first.reject(error);
    else await this.tryAgain(first, appended);
  }

  /** Somebody else stored the pair just now; or the list holds one twice, and that stays so. */
  private async tryAgain(append: Waiting, appended: (ids: readonly string[]) => void): Promise<void> {
    try {
      append.resolve(outcomeOf(await this.store([append])));
      appended([append.id]);
    } catch (error) {
      if (error instanceof postgres.PostgresError && error.code === UNIQUE_VIOLATION)
        append.resolve({ kind: "producer_replay_conflict" });
      else append.reject(error);
    }
  }

  private async store(appends: readonly Waiting[]): Promise<Row[]> {
    const columns: [number[], string[], string[], number[], string[]] = [[], [], [], [], []];
    for (const [index, { id, events }] of appends.entries()) {
      for (const { producerId, producerSeq, json } of events) {
        columns[0].push(index);
        columns[1].push(id);
        columns[2].push(producerId);
        columns[3].push(producerSeq);
        columns[4].push(json);
      }
    }
    return await this.sql.unsafe<Row[]>(APPEND, columns, { prepare: true });
  }
}

function outcomeOf(rows: readonly Row[]): Appended | Refused {
  if (rows.some(({ conflict }) => conflict)) return { kind: "producer_replay_conflict" };
  const results: { seq: number; deduped: boolean }[] = [];
  for (const { seq, deduped } of rows) {
    if (seq === null) return { kind: "session_not_found" };
    results.push({ seq, deduped });
  }
  return { kind: "appended", results, lastSeq: Math.max(...results.map(({ seq }) => seq)) };
}

class Lane {
  private waiting: Waiting[] = [];
  private isRunning = false;
  private soon: NodeJS.Immediate | undefined;

  constructor(
    private readonly eventsMax: number,
    private readonly run: (appends: readonly Waiting[]) => Promise<void>,
  ) {}

  add(append: Waiting): void {
    this.waiting.push(append);
    // What came in the same turn goes together.
    if (!this.isRunning) this.soon ??= setImmediate(() => void this.drain());
  }

  private async drain(): Promise<void> {
    this.soon = undefined;
    this.isRunning = true;
    while (this.waiting.length > 0) await this.run(this.next());
    this.isRunning = false;
  }

  private next(): Waiting[] {
    let [count, events] = [0, 0];
    for (const append of this.waiting) {
      events += append.events.length;
      if (count > 0 && events > this.eventsMax) break;
      count++;
    }
    return this.waiting.splice(0, count);
  }
}

function hash(text: string): number {
  let value = 0;
  for (let at = 0; at < text.length; at++) value = (value * 31 + text.charCodeAt(at)) >>> 0;
  return value;
}
