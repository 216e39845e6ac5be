import type { Connections } from "./connection.js";
import type { Environment } from "./environment.js";
import type { DaybookError } from "./errors.js";
import type { Http } from "./http.js";
import type { AppendProgress, OutboxStatus } from "./outbox.js";
import type { OutgoingGroup } from "./outbox-queue.js";
import type { Session } from "./session.js";
import type { ForkOptions } from "./sessions.js";
import type { Store } from "./store.js";
import type { TailStatus } from "./tail.js";
import type { RefreshToken } from "./token-keeper.js";
import type { Gap, Identity, SessionEvent, SessionRecord } from "./wire.js";

/** Where a session stands: of its tail, and of its outbox. */
export interface SessionStatus {
  readonly status: TailStatus;
  readonly outbox: OutboxStatus;
  /** Why the tail ended. */
  readonly error?: DaybookError;
}

/** What a session tells its listeners. */
export interface SessionEvents {
  /** An event, each once, in order: replay first, then live. */
  readonly event: SessionEvent;
  /** Something failed. What can be tried again is tried again; this is to be shown or logged. */
  readonly error: DaybookError;
  /** The tail had to jump. It goes on after `next_cursor`. */
  readonly gap: Gap;
  readonly status: SessionStatus;
  /** What happens to appends. */
  readonly append: AppendProgress;
}

/** What is known now. The same object until something changes. */
export interface SessionSnapshot extends SessionStatus {
  /** The newest events in memory, contiguous. */
  readonly events: readonly SessionEvent[];
  /** The last seq that was seen. */
  readonly lastSeq: number;
  /** Appends that are not acknowledged, in order. */
  readonly pending: readonly OutgoingGroup[];
}

export interface FollowOptions {
  /** Events after this seq. 0 if left out: from the beginning; `Infinity`: only what comes from now on. */
  readonly cursor?: number;
  /** Ends the loop. */
  readonly signal?: AbortSignal;
}

export interface CloseOptions {
  /** How long appends that are on their way may take; 10 s if left out. */
  readonly timeoutMs?: number;
}

export interface SessionOptions {
  readonly id: string;
  readonly identity: Identity | undefined;
  readonly actor: string | undefined;
  readonly record: SessionRecord | undefined;
  readonly token: string | undefined;
  readonly refreshToken: RefreshToken | undefined;
  /** Undefined: where the last one left off, or at the beginning. */
  readonly cursor: number | undefined;
  readonly eventsMax: number;
  /** Where it keeps things, and what their names begin with. */
  readonly store: Store | undefined;
  readonly storePrefix: string;
  readonly http: Http;
  readonly connections: Connections;
  readonly environment: Environment;
  readonly closed: (session: Session) => void;
  readonly fork: (parent: Session, options: ForkOptions) => Promise<Session>;
}
