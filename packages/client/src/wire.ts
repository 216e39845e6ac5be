/**
 * What the server says, as it says it: names and spelling are those of docs/PROTOCOL.md, so that an event is the same
 * object whether it came over a socket, from a page, from a file or from another client.
 */

/** Who acts: a user or an agent of one tenant. */
export interface Identity {
  readonly type: "user" | "agent";
  readonly id: string;
}

/** Any JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What an event may point at. */
export interface Refs {
  /** The seq this event answers. */
  readonly to_seq?: number;
  readonly step?: number;
  readonly request_id?: string;
  readonly sequence_id?: string;
  readonly [name: string]: unknown;
}

/** State keys of the session that change with an event. */
export interface StateChange {
  readonly set?: Readonly<Record<string, unknown>>;
  readonly delete?: readonly string[];
  /** Versions that keys must have for the event to be taken; 0: the key must not exist. */
  readonly if?: Readonly<Record<string, number>>;
}

/** An event, as every reader sees it. */
export interface SessionEvent<Payload = JsonObject> {
  /** 1, 2, 3 … within the session. */
  readonly seq: number;
  /** The same as `seq`: go on from here. */
  readonly cursor: number;
  readonly tenant_id: string;
  /** RFC 3339, UTC. Never goes backwards within a session. */
  readonly inserted_at: string;
  readonly type: string;
  /** `user:alice`, `agent:drafter`, `service:backend`. */
  readonly actor: string;
  readonly payload: Payload;
  readonly producer_id: string;
  readonly producer_seq: number;
  readonly source?: string;
  readonly metadata: JsonObject;
  readonly refs: Refs;
  readonly idempotency_key: string | null;
  readonly state?: StateChange;
}

/** What is known about a session beside its events. */
export interface SessionRecord {
  readonly id: string;
  readonly title: string | null;
  readonly metadata: JsonObject;
  readonly tenant_id: string;
  readonly creator_principal: { readonly tenant_id: string; readonly id: string; readonly type: string };
  readonly last_seq: number;
  readonly archived: boolean;
  readonly created_at: string;
  readonly updated_at: string;
  /** Counts changes of title and metadata. */
  readonly version: number;
  /** A fork's: whose events and state it shares, and up to which seq. */
  readonly forked_from?: ForkPoint;
}

/** A place in a session. */
export interface ForkPoint {
  readonly session_id: string;
  readonly seq: number;
}

/** A page of events. */
export interface EventPage {
  readonly events: readonly SessionEvent[];
  readonly next_cursor: number;
  readonly last_seq: number;
}

/** A page of sessions. */
export interface SessionPage {
  readonly sessions: readonly SessionRecord[];
  /** Null: there are no more. */
  readonly next_cursor: string | null;
}

/** The tail could not go on from its cursor: events are missing, or the session is not the one it was. */
export interface Gap {
  readonly type: "gap";
  readonly reason: "cursor_expired" | "resume_invalidated";
  readonly from_cursor: number;
  /** The tail goes on after this seq. */
  readonly next_cursor: number;
  readonly committed_cursor: number;
  readonly earliest_available_cursor: number;
}

/** What happened to a session as a whole. */
export interface LifecycleEvent {
  readonly kind:
    | "session.hydrating"
    | "session.activated"
    | "session.freezing"
    | "session.frozen"
    | "session.created"
    | "session.updated"
    | "session.archived"
    | "session.unarchived"
    | "session.closed"
    | "session.reopened"
    | "session.forked"
    | "session.deleted";
  readonly session_id: string;
  readonly tenant_id: string;
  readonly occurred_at?: string;
  readonly title?: string | null;
  readonly metadata?: JsonObject;
  readonly version?: number;
  readonly created_at?: string;
  readonly updated_at?: string;
  readonly archived?: boolean;
  /** Of `session.forked`: the new session, and the last seq it shares. */
  readonly fork?: ForkPoint;
  /** Of the `session.created` of a fork. */
  readonly forked_from?: ForkPoint;
  /** Its place in the lifecycle feed. */
  readonly cursor?: string;
}
