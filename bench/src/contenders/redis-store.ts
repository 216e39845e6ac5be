import { Redis } from "ioredis";
import { APPEND } from "./redis-append.js";
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

type AppendScript = (...keysAndValues: (string | number)[]) => Promise<number[] | null>;

/**
 * Sessions as Redis streams. All commands go through one connection, pipelined by the client; a second one listens.
 * Events themselves are published, so a follower that is up to date costs no read. (The client's automatic pipelines, one
 * a turn, were slower than commands written as they come.)
 */
export class RedisStore implements Store {
  readonly pageEvents = 500;
  private readonly listeners = new Map<string, Listener>();
  private isGathering = false;

  private constructor(
    private readonly commands: Redis,
    private readonly subscriber: Redis,
    private readonly appendScript: AppendScript,
  ) {
    subscriber.on("message", (channel: string, message: string) => this.hear(channel, message));
    // After a lost connection the client subscribes again by itself; what was published meanwhile is in the streams.
    subscriber.on("ready", () => {
      for (const listener of this.listeners.values()) listener.lost();
    });
  }

  static async open(url: string): Promise<RedisStore> {
    const options = { lazyConnect: true, scripts: { appendEvents: { lua: APPEND, numberOfKeys: 2 } } };
    const [commands, subscriber] = [new Redis(url, options), new Redis(url, { lazyConnect: true })];
    for (const client of [commands, subscriber]) {
      // Told by the commands that fail; the client connects again by itself.
      client.on("error", () => undefined);
    }
    try {
      await Promise.all([commands.connect(), subscriber.connect()]);
    } catch (error) {
      for (const client of [commands, subscriber]) client.disconnect();
      throw error;
    }
    const { appendEvents } = commands as unknown as { appendEvents: AppendScript };
    return new RedisStore(commands, subscriber, appendEvents.bind(commands));
  }

  async create(id: string): Promise<boolean> {
    return (await this.commands.hsetnx(headKey(id), "last_seq", 0)) === 1;
  }

  async exists(id: string): Promise<boolean> {
    return (await this.commands.exists(headKey(id))) === 1;
  }

  async append(id: string, events: readonly NewEvent[]): Promise<Appended | Refused> {
    this.gather();
    const values = events.flatMap(({ producerId, producerSeq, json }) => [producerId, producerSeq, json]);
    try {
      const now = new Date().toISOString();
      const answer = await this.appendScript(headKey(id), streamKey(id), channelOf(id), now, ...values);
      if (answer === null) return { kind: "session_not_found" };
      const lastSeq = answer.pop() ?? 0;
      const results = answer.map((seq) => ({ seq: Math.abs(seq), deduped: seq < 0 }));
      return { kind: "appended", results, lastSeq };
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("CONFLICT"))
        return { kind: "producer_replay_conflict" };
      throw error;
    }
  }

  async read(id: string, { after, before, limit }: Page): Promise<StoredEvent[]> {
    const key = streamKey(id);
    const entries =
      before === undefined
        ? await this.commands.xrange(key, `(${after ?? 0}-0`, "+", "COUNT", limit)
        : (await this.commands.xrevrange(key, `(${before}-0`, "-", "COUNT", limit)).reverse();
    return entries.map(([entryId, [, insertedAt = "", , json = ""]]) =>
      storedEvent(Number.parseInt(entryId, 10), insertedAt, json),
    );
  }

  async follow(id: string, listener: Listener): Promise<() => void> {
    const channel = channelOf(id);
    this.listeners.set(channel, listener);
    await this.subscriber.subscribe(channel);
    return () => {
      if (this.listeners.get(channel) !== listener) return;
      this.listeners.delete(channel);
      // A connection that is lost meanwhile has ended this as well.
      this.subscriber.unsubscribe(channel).catch(() => undefined);
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.commands.quit(), this.subscriber.quit()]);
  }

  /** The commands of one turn of the loop go out in one write. */
  private gather(): void {
    if (this.isGathering) return;
    this.isGathering = true;
    const { stream } = this.commands;
    stream.cork();
    setImmediate(() => {
      this.isGathering = false;
      stream.uncork();
    });
  }

  private hear(channel: string, message: string): void {
    const listener = this.listeners.get(channel);
    if (listener === undefined) return;
    const [firstSeq, insertedAt = "", ...events] = message.split("\n");
    listener.events(events.map((json, nth) => storedEvent(Number(firstSeq) + nth, insertedAt, json)));
  }
}

function headKey(id: string): string {
  return `session:{${id}}`;
}

function streamKey(id: string): string {
  return `events:{${id}}`;
}

function channelOf(id: string): string {
  return `live:{${id}}`;
}
