import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamClient,
  jetstream,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import { connect, type Msg, type NatsConnection, nanos } from "@nats-io/transport-node";
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

const EVENTS = "EVENTS";
const SESSIONS = "SESSIONS";
/** A list is one message: the place in it is the low part of an event's number. */
const PLACES = 1_024;
/** How long a message's id is remembered: JetStream's own default. */
const DUPLICATES_MS = 120_000;
const FETCH_MS = 5_000;
/** Consumers that a front leaves behind go by themselves. */
const UNUSED_MS = 10_000;

/**
 * All sessions in one JetStream stream, a subject each; a session's own stream would cost files and a routine apiece.
 * An append is one message, acknowledged when JetStream has stored it; its id makes a retry harmless. The server
 * republishes what it has stored, with the number of the subject's message before: followers listen to that, and see
 * what they miss.
 */
export class NatsStore implements Store {
  /** Each read costs a consumer: fewer, larger ones. */
  readonly pageEvents = 5_000;
  /** Sessions are never deleted, so that one was there once is enough. */
  private readonly known = new Set<string>();

  private constructor(
    private readonly connection: NatsConnection,
    private readonly client: JetStreamClient,
    private readonly manager: JetStreamManager,
  ) {}

  static async open(url: string): Promise<NatsStore> {
    // Asked for traces, the client makes an error for every request.
    const connection = await connect({ servers: url, maxReconnectAttempts: -1, noAsyncTraces: true });
    try {
      const manager = await jetstreamManager(connection);
      const shared = {
        retention: RetentionPolicy.Limits,
        storage: StorageType.File,
        discard: DiscardPolicy.New,
      };
      const [events, sessions] = [
        {
          ...shared,
          name: EVENTS,
          subjects: ["events.>"],
          allow_direct: true,
          duplicate_window: nanos(DUPLICATES_MS),
          republish: { src: "events.>", dest: "live.>" },
        },
        { ...shared, name: SESSIONS, subjects: ["sessions.>"], allow_direct: true },
      ];
      for (const config of [events, sessions]) await manager.streams.add(config);
      return new NatsStore(connection, jetstream(connection), manager);
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  async create(id: string): Promise<boolean> {
    try {
      // Only if the subject has no message yet.
      await this.client.publish(`sessions.${token(id)}`, "", { expect: { lastSubjectSequence: 0 } });
      this.known.add(id);
      return true;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence)
        return false;
      throw error;
    }
  }

  async exists(id: string): Promise<boolean> {
    if (this.known.has(id)) return true;
    const created = await this.manager.direct.getMessage(SESSIONS, { last_by_subj: `sessions.${token(id)}` });
    if (created === null) return false;
    this.known.add(id);
    return true;
  }

  async append(id: string, events: readonly NewEvent[]): Promise<Appended | Refused> {
    const [first] = events;
    if (first === undefined) throw new Error("broken invariant: an append of nothing");
    if (!(await this.exists(id))) return { kind: "session_not_found" };
    const lines = events.map(({ json }) => json).join("\n");
    const msgID = `${token(id)}:${first.producerSeq}:${first.producerId}`;
    const body = `${new Date().toISOString()}\n${lines}`;
    const { seq, duplicate } = await this.client.publish(`events.${token(id)}`, body, { msgID });
    if (duplicate && !(await this.isSame(seq, lines))) return { kind: "producer_replay_conflict" };
    const results = events.map((_, place) => ({ seq: seq * PLACES + place, deduped: duplicate }));
    return { kind: "appended", results, lastSeq: seq * PLACES + events.length - 1 };
  }

  async read(id: string, { after = 0, before, limit }: Page): Promise<StoredEvent[]> {
    if (before === undefined) return this.readAfter(id, after, limit);
    // JetStream reads forward only: the last ones are known when all have gone by.
    let last: StoredEvent[] = [];
    for (let cursor = 0; ;) {
      const page = await this.readAfter(id, cursor, 10 * PLACES);
      last = [...last, ...page.filter(({ seq }) => seq < before)].slice(-limit);
      const end = page.at(-1)?.seq;
      if (end === undefined || end >= before) return last;
      cursor = end;
    }
  }

  async follow(id: string, listener: Listener): Promise<() => void> {
    let last: number | undefined;
    const subscription = this.connection.subscribe(`live.${token(id)}`, {
      callback: (error, message) => {
        if (error !== null) {
          listener.lost();
          return;
        }
        const [seq, previous] = numbersOf(message);
        // The first one has nothing before it here; what there was is read.
        if (last !== undefined && previous !== last) listener.lost();
        last = seq;
        listener.events(eventsOf(seq, message.string()));
      },
    });
    // From now on the server knows.
    await this.connection.flush();
    return () => subscription.unsubscribe();
  }

  async close(): Promise<void> {
    await this.connection.drain();
  }

  private async isSame(seq: number, lines: string): Promise<boolean> {
    const stored = (await this.manager.direct.getMessage(EVENTS, { seq }))?.string();
    return stored?.slice(stored.indexOf("\n") + 1) === lines;
  }

  private async readAfter(id: string, after: number, limit: number): Promise<StoredEvent[]> {
    const subject = `events.${token(id)}`;
    // Most reads are by followers that are up to date: that is one look.
    const newest = await this.manager.direct.getMessage(EVENTS, { last_by_subj: subject });
    if (newest === null) return [];
    const from = Math.max(1, Math.floor(after / PLACES));
    const isAfter = ({ seq }: StoredEvent): boolean => seq > after;
    if (newest.seq <= from) return eventsOf(newest.seq, newest.string()).filter(isAfter).slice(0, limit);
    const config: Partial<ConsumerConfig> = {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: from,
      filter_subject: subject,
      inactive_threshold: nanos(UNUSED_MS),
      mem_storage: true,
    };
    const { name, num_pending: pending } = await this.manager.consumers.add(EVENTS, config);
    const consumer = await this.client.consumers.get(EVENTS, name);
    const events: StoredEvent[] = [];
    const messages = await consumer.fetch({ max_messages: Math.min(limit, pending), expires: FETCH_MS });
    for await (const message of messages) {
      events.push(...eventsOf(message.seq, message.string()).filter(isAfter));
      if (events.length >= limit) break;
    }
    void this.manager.consumers.delete(EVENTS, name).catch(() => undefined);
    return events.slice(0, limit);
  }
}

function eventsOf(messageSeq: number, body: string): StoredEvent[] {
  const [insertedAt = "", ...events] = body.split("\n");
  return events.map((json, place) => storedEvent(messageSeq * PLACES + place, insertedAt, json));
}

function numbersOf(message: Msg): [seq: number, previous: number] {
  return [Number(message.headers?.get("Nats-Sequence")), Number(message.headers?.get("Nats-Last-Sequence"))];
}

/** A session's id as one token of a subject. */
function token(id: string): string {
  return Buffer.from(id).toString("base64url");
}
