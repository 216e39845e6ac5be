import { Connections } from "./connection.js";
import {
  defaultEnvironment,
  type Environment,
  type FetchLike,
  type WebSocketConstructor,
} from "./environment.js";
import { asDaybookError, DaybookError } from "./errors.js";
import { Http } from "./http.js";
import { Session } from "./session.js";
import type { Store } from "./store.js";
import { readClaims } from "./token-claims.js";
import type { RefreshToken } from "./token-keeper.js";
import type { Identity, JsonObject, SessionRecord } from "./wire.js";

export interface DaybookOptions {
  /** Where the server is, e.g. `https://daybook.example.com`. */
  readonly baseUrl: string;
  /** A service's key. For servers only: never send it to a browser. */
  readonly apiKey?: string;
  /** Keeps cursors and unsent appends over a reload; left out: they live as long as the client. */
  readonly store?: Store;
  readonly fetch?: FetchLike;
  /** Where there is no global one, as in Node 20: that of the `ws` package. */
  readonly WebSocket?: WebSocketConstructor;
  /** Clock, chance, locks: for tests. */
  readonly environment?: Partial<Environment>;
}

interface TailChoice {
  /** Listeners for `event` get what is after this seq. Left out: from the beginning. */
  readonly cursor?: number;
  /** How many of the newest events stay in memory for `snapshot()`; 10,000 if left out. */
  readonly eventsMax?: number;
}

/** Creates a session, or binds to the one that has the id, as an identity. */
export interface CreateOptions extends TailChoice {
  readonly identity: Identity;
  /** Left out: a new one. */
  readonly id?: string;
  /** Of a session that is created; one that exists keeps its own. */
  readonly title?: string;
  readonly metadata?: JsonObject;
}

/** Binds to the session that a token was minted for. */
export interface BindOptions extends TailChoice {
  readonly token: string;
  /** Gets another token when this one ends; null when there will be none. Throwing means: ask again later. */
  readonly refreshToken?: RefreshToken;
}

const EVENTS_MAX = 10_000;

/**
 * A client of one Daybook server. All its sessions share one socket.
 *
 * @example
 * const daybook = new Daybook({ baseUrl: "http://127.0.0.1:4000" });
 * const session = await daybook.session({ identity: daybook.user({ id: "alice" }), title: "First" });
 * await session.append({ text: "Hello!" });
 * await daybook.close();
 */
export class Daybook implements AsyncDisposable {
  private readonly environment: Environment;
  private readonly http: Http;
  private readonly connections: Connections;
  private readonly open = new Set<Session>();

  constructor(private readonly options: DaybookOptions) {
    const baseUrl = options.baseUrl.replace(/\/+$/, "");
    this.environment = { ...defaultEnvironment(), ...options.environment };
    const fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.http = new Http(baseUrl, fetch, this.environment);
    const WebSocket =
      options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket ?? NoWebSocket;
    this.connections = new Connections({ baseUrl, WebSocket, environment: this.environment });
  }

  /** A person. */
  user({ id }: { readonly id: string }): Identity {
    return { type: "user", id };
  }

  /** An agent. */
  agent({ id }: { readonly id: string }): Identity {
    return { type: "agent", id };
  }

  /**
   * Opens a session. With an `identity`, on a server that holds the API key: creates it, or binds to the one with that
   * id, and mints tokens for the identity. With a `token`, in a browser: binds to the token's session, without a call.
   *
   * @throws DaybookError
   */
  session(options: BindOptions): Session;
  session(options: CreateOptions): Promise<Session>;
  session(options: BindOptions | CreateOptions): Session | Promise<Session> {
    return "token" in options ? this.bind(options) : this.create(options);
  }

  /** Closes all sessions, waiting for their appends, and the socket. */
  async close(): Promise<void> {
    await Promise.all([...this.open].map((session) => session.close()));
    this.connections.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private bind({ token, refreshToken, ...choice }: BindOptions): Session {
    const { sessionId: id, actor, identity } = readClaims(token);
    if (id === undefined)
      throw new DaybookError("invalid_token", "The token is for no session: mint a session token.");
    return this.opened({ id, actor, identity, token, refreshToken, record: undefined }, choice);
  }

  private async create({ identity, title, metadata, ...choice }: CreateOptions): Promise<Session> {
    // Always with an id, so that trying again cannot make two.
    const id = choice.id ?? `ses_${this.environment.newId()}`;
    const record = await this.createOrFind(id, {
      id,
      ...(title !== undefined && { title }),
      ...(metadata !== undefined && { metadata }),
    });
    const mint = (): Promise<string> => this.mint(id, identity);
    const token = await mint();
    const actor = `${identity.type}:${identity.id}`;
    return this.opened({ id, actor, identity, token, refreshToken: mint, record }, choice);
  }

  private async createOrFind(id: string, body: object): Promise<SessionRecord> {
    const token = this.options.apiKey;
    try {
      const created = await this.http.call({
        method: "POST",
        path: "/v1/sessions",
        body: JSON.stringify(body),
        token,
      });
      return created as SessionRecord;
    } catch (error) {
      if (asDaybookError(error).code !== "session_exists") throw error;
      const path = `/v1/sessions/${encodeURIComponent(id)}`;
      return (await this.http.call({ method: "GET", path, token })) as SessionRecord;
    }
  }

  private async mint(sessionId: string, principal: Identity): Promise<string> {
    const body = JSON.stringify({
      session_id: sessionId,
      principal,
      scopes: ["session:read", "session:append"],
    });
    const path = "/api/v1/session-tokens";
    const minted = await this.http.call({ method: "POST", path, body, token: this.options.apiKey });
    return (minted as { readonly token: string }).token;
  }

  private opened(
    who: Pick<
      ConstructorParameters<typeof Session>[0],
      "id" | "actor" | "identity" | "token" | "refreshToken" | "record"
    >,
    { cursor = 0, eventsMax = EVENTS_MAX }: TailChoice,
  ): Session {
    const { http, connections, environment } = this;
    const closed = (session: Session): void => void this.open.delete(session);
    const session = new Session({ ...who, cursor, eventsMax, http, connections, environment, closed });
    this.open.add(session);
    return session;
  }
}

/** Said when a tail is opened, not before: appends and reads need no WebSocket. */
const NoWebSocket = function () {
  throw new DaybookError(
    "network_error",
    "There is no WebSocket here. Pass one: new Daybook({ WebSocket }) with that of the ws package.",
  );
} as unknown as WebSocketConstructor;
