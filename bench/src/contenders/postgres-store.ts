import postgres, { type Sql } from "postgres";
import { AppendLanes, type AppendLanesOptions } from "./postgres-appends.js";
import { SCHEMA } from "./postgres-sql.js";
import {
  type Appended,
  type Listener,
  type NewEvent,
  type Page,
  type Refused,
  type Store,
  storedEvent,
  type StoredEvent,
} from "./store.js";

const CHANNEL = "appended";
const READERS = 4;
const PAGE = 500;
/** A front that dies between its commit and its NOTIFY leaves followers elsewhere without a hint. */
const LOOK_MS = 5_000;
/** A payload may have 8,000 bytes. */
const PAYLOAD_BYTES_MAX = 7_500;

interface EventRow {
  readonly seq: string;
  readonly inserted_at: Date;
  readonly json: string;
}

/**
 * Sessions as rows. LISTEN and NOTIFY carry hints, which sessions have grown; the events are read, once for all
 * followers of a session at this front.
 *
 * NOTIFY is not part of the append's transaction: PostgreSQL commits transactions that notify one after the other, each
 * with its own sync. It goes over a connection of its own, for all that was committed meanwhile, and waits for no disk.
 */
export class PostgresStore implements Store {
  readonly pageEvents = PAGE;
  private readonly feeds = new Map<string, PolledFeed>();
  private readonly lanes: AppendLanes;
  private readonly grown = new Set<string>();
  private isNotifying = false;
  private readonly looking = setInterval(() => this.wakeAll(), LOOK_MS);

  private constructor(
    private readonly pools: { readonly append: Sql; readonly read: Sql; readonly notify: Sql },
    lanes: AppendLanesOptions,
  ) {
    this.lanes = new AppendLanes(pools.append, lanes, (ids) => this.notify(ids));
  }

  static async open(url: string, lanes: AppendLanesOptions): Promise<PostgresStore> {
    const quiet = { onnotice: () => undefined };
    // Plans made once, by indexes: what a statement gets is never worth planning anew.
    const planned = { plan_cache_mode: "force_generic_plan", enable_seqscan: false, jit: false };
    const pools = {
      append: postgres(url, { ...quiet, max: lanes.lanes, connection: planned }),
      read: postgres(url, { ...quiet, max: READERS, connection: planned }),
      notify: postgres(url, { ...quiet, max: 1, connection: { synchronous_commit: "off" } }),
    };
    try {
      await pools.read.unsafe(SCHEMA);
    } catch (error) {
      for (const pool of Object.values(pools)) await pool.end({ timeout: 0 });
      throw error;
    }
    const store = new PostgresStore(pools, lanes);
    await pools.notify.listen(
      CHANNEL,
      (payload) => {
        for (const id of JSON.parse(payload) as string[]) store.feeds.get(id)?.wake();
      },
      // Connected, at first or again: hints may have been lost.
      () => store.wakeAll(),
    );
    return store;
  }

  async create(id: string): Promise<boolean> {
    const { append } = this.pools;
    return (await append`INSERT INTO sessions (id) VALUES (${id}) ON CONFLICT DO NOTHING`).count === 1;
  }

  async exists(id: string): Promise<boolean> {
    return (await this.pools.read`SELECT FROM sessions WHERE id = ${id}`).count === 1;
  }

  append(id: string, events: readonly NewEvent[]): Promise<Appended | Refused> {
    return this.lanes.append(id, events);
  }

  async read(id: string, { after = 0, before, limit }: Page): Promise<StoredEvent[]> {
    const { read } = this.pools;
    const rows =
      before === undefined
        ? await read<EventRow[]>`
            SELECT seq, inserted_at, json FROM events
            WHERE session_id = ${id} AND seq > ${after} ORDER BY seq LIMIT ${limit}`
        : await read<EventRow[]>`
            SELECT seq, inserted_at, json FROM events
            WHERE session_id = ${id} AND seq < ${before} ORDER BY seq DESC LIMIT ${limit}`;
    const events = rows.map((row) => storedEvent(Number(row.seq), row.inserted_at.toISOString(), row.json));
    return before === undefined ? events : events.reverse();
  }

  async follow(id: string, listener: Listener): Promise<() => void> {
    const { read } = this.pools;
    // Known to hints before the head is read: what is committed in between is read twice rather than missed.
    const feed = new PolledFeed((after) => this.read(id, { after, limit: PAGE }), listener);
    this.feeds.set(id, feed);
    const [head] = await read<{ last_seq: string }[]>`SELECT last_seq FROM sessions WHERE id = ${id}`;
    feed.startAfter(Number(head?.last_seq ?? 0));
    return () => {
      feed.end();
      if (this.feeds.get(id) === feed) this.feeds.delete(id);
    };
  }

  async close(): Promise<void> {
    clearInterval(this.looking);
    for (const pool of Object.values(this.pools)) await pool.end();
  }

  private wakeAll(): void {
    for (const feed of this.feeds.values()) feed.wake();
  }

  private notify(ids: readonly string[]): void {
    for (const id of ids) this.grown.add(id);
    if (!this.isNotifying) void this.notifyAll();
  }

  /** One NOTIFY at a time; what grows meanwhile goes with the next one. */
  private async notifyAll(): Promise<void> {
    this.isNotifying = true;
    while (this.grown.size > 0) {
      const ids: string[] = [];
      let bytes = 2;
      for (const id of this.grown) {
        bytes += Buffer.byteLength(id) + 3;
        if (bytes > PAYLOAD_BYTES_MAX) break;
        ids.push(id);
        this.grown.delete(id);
      }
      // A hint that is lost with its connection is made up for when it is there again.
      await this.pools.notify.notify(CHANNEL, JSON.stringify(ids)).catch(() => undefined);
    }
    this.isNotifying = false;
  }
}

/** Reads on from where it was whenever it is told that there may be more. */
class PolledFeed {
  private cursor: number | undefined;
  private isReading = false;
  private again = false;

  constructor(
    private readonly readAfter: (seq: number) => Promise<readonly StoredEvent[]>,
    private readonly listener: Listener,
  ) {}

  startAfter(seq: number): void {
    this.cursor = seq;
    this.wake();
  }

  wake(): void {
    this.again = true;
    if (!this.isReading && this.cursor !== undefined) void this.read(this.cursor);
  }

  end(): void {
    this.cursor = undefined;
    this.again = false;
  }

  private async read(from: number): Promise<void> {
    this.isReading = true;
    let cursor = from;
    try {
      while (this.again) {
        this.again = false;
        const events = await this.readAfter(cursor);
        const last = events.at(-1);
        if (last === undefined || this.cursor === undefined) continue;
        this.listener.events(events);
        this.cursor = cursor = last.seq;
        if (events.length === PAGE) this.again = true;
      }
    } catch {
      // The next hint, or the next look, reads from here.
    } finally {
      this.isReading = false;
    }
  }
}
