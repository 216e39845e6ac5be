/** What a home-made stack needs of its database. One per contender; the HTTP front is the same for all. */
export interface Store {
  /** How many events a follower that is behind should read at a time. */
  readonly pageEvents: number;
  /** False: there is one already. */
  create(id: string): Promise<boolean>;
  exists(id: string): Promise<boolean>;
  /** Resolves when it is as durable as this database makes it. A list is stored whole or not at all. */
  append(id: string, events: readonly NewEvent[]): Promise<Appended | Refused>;
  read(id: string, page: Page): Promise<readonly StoredEvent[]>;
  /**
   * Everything appended from the moment this resolves on, by whichever front, in order and without gaps; what cannot
   * be continued is said by `lost`. Ends with what it returns.
   */
  follow(id: string, listener: Listener): Promise<() => void>;
  close(): Promise<void>;
}

export interface NewEvent {
  readonly producerId: string;
  readonly producerSeq: number;
  /** All that the client sent, made once; a retry of the same event has the same text. */
  readonly json: string;
}

/** An event as a reader gets it, made once for all readers. */
export interface StoredEvent {
  readonly seq: number;
  readonly bytes: Buffer;
}

export interface Appended {
  readonly kind: "appended";
  readonly results: readonly { readonly seq: number; readonly deduped: boolean }[];
  readonly lastSeq: number;
}

export interface Refused {
  readonly kind: "session_not_found" | "producer_replay_conflict";
}

/** Ascending events: those after a seq, or the last ones before it. */
export interface Page {
  readonly after?: number;
  readonly before?: number;
  readonly limit: number;
}

export interface Listener {
  events(events: readonly StoredEvent[]): void;
  /** Something may have been missed: read again. */
  lost(): void;
}

/** @param insertedAt RFC 3339 */
export function storedEvent(seq: number, insertedAt: string, json: string): StoredEvent {
  return { seq, bytes: Buffer.from(`{"seq":${seq},"inserted_at":"${insertedAt}",${json.slice(1)}`) };
}
