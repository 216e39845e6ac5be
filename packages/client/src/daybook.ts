import { AgentState } from "./agent-state.js";
import { baseUrlOf } from "./base-url.js";
import { Connections } from "./connection.js";
import {
  defaultEnvironment,
  type Environment,
  type FetchLike,
  type WebSocketConstructor,
} from "./environment.js";
import { asDaybookError, DaybookError } from "./errors.js";
import { Http } from "./http.js";
import { Lifecycle, type LifecycleEvents } from "./lifecycle.js";
import { Session } from "./session.js";
import type { CloseOptions } from "./session-types.js";
import { type CreateRecordOptions, type ForkOptions, Sessions } from "./sessions.js";
import type { Store } from "./store.js";
import { readClaims } from "./token-claims.js";
import { type RefreshToken, TokenKeeper } from "./token-keeper.js";
import type { Identity, JsonObject, SessionRecord } from "./wire.js";

export interface DaybookOptions {
  /** Where the server is, e.g. `https://daybook.example.com`; in a page also relative to it, e.g. `/daybook`. */
  readonly baseUrl: string;
  /** A service's key. For servers only: never send it to a browser. */
  readonly apiKey?: string | undefined;
  /** Keeps cursors and unsent appends over a reload; left out: they live as long as the client. */
  readonly store?: Store | undefined;
  readonly fetch?: FetchLike | undefined;
  /** Where there is no global one, as in Node 20: that of the `ws` package. */
  readonly WebSocket?: WebSocketConstructor | undefined;
  /** Clock, chance, locks: for tests. */
  readonly environment?: Partial<Environment>;
}

interface TailChoice {
  /**
   * Listeners for `event` get what is after this seq; `Infinity`: only what comes from now on. Left out: where this client's
   * listeners had come to, if the store knows, or else from the beginning.
   */
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

export interface TokenOptions {
  /** Of the session. */
  readonly id: string;
  /** Who may do it. */
  readonly identity: Identity;
  /** An hour if left out; a week at most, and never longer than the API key. */
  readonly ttlSeconds?: number;
  /** Left out: both. */
  readonly scopes?: readonly ("session:read" | "session:append")[];
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
  /** Sessions as records: list, get, create, update, archive, delete. */
  readonly sessions: Sessions;
  private readonly environment: Environment;
  private readonly http: Http;
  private readonly connections: Connections;
  private readonly lifecycle: Lifecycle;
  private readonly open = new Set<Session>();

  constructor(private readonly options: DaybookOptions) {
    const { apiKey } = options;
    const baseUrl = baseUrlOf(options.baseUrl);
    const environment = { ...defaultEnvironment(), ...options.environment };
    this.environment = environment;
    this.http = new Http(baseUrl, options.fetch ?? globalThis.fetch.bind(globalThis), environment);
    this.connections = new Connections({
      baseUrl,
      WebSocket: options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
      environment,
    });
    this.sessions = new Sessions(this.http, apiKey, environment.newId);
    this.lifecycle = new Lifecycle({
      connections: this.connections,
      environment,
      tokens: new TokenKeeper({
        token: apiKey,
        refreshToken: undefined,
        environment,
        changed: () => undefined,
        failed: () => undefined,
      }),
      probe: () => this.http.once({ method: "GET", path: "/v1/sessions?limit=1", token: apiKey }),
    });
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

  /**
   * The state of an agent: records that transactions write. Needs an API key with `state:read` and `state:write`.
   *
   * @param namespace keeps agents of one id apart; `default` where nothing else is said
   *
   * @example
   * const memory = daybook.agentState("default", "researcher");
   * await memory.transaction((tx) => tx.set("plan", { step: 1 }));
   * console.log((await memory.get("plan"))?.value);
   */
  agentState(namespace: string, agentId: string): AgentState {
    const { http, environment } = this;
    return new AgentState({ http, environment, token: this.options.apiKey, namespace, agentId });
  }

  /**
   * Listens to what happens to all sessions of the tenant, from now on; the result stops listening. What happens while
   * the connection is lost is told when it is back. Needs an API key.
   *
   * @example
   * daybook.on("session.created", ({ session_id, title }) => console.log("new:", session_id, title));
   */
  on<Name extends keyof LifecycleEvents>(
    name: Name,
    listener: (value: LifecycleEvents[Name]) => void,
  ): () => void {
    return this.lifecycle.on(name, listener);
  }

  /**
   * Mints a token for one session and one identity: what a backend hands to a browser. Needs an API key, where the server
   * asks for one. The session need not be there yet.
   *
   * @example
   * const token = await daybook.token({ id: "support-1", identity: daybook.user({ id: "alice" }) });
   */
  async token({ id, identity, ttlSeconds, scopes }: TokenOptions): Promise<string> {
    const body = JSON.stringify({
      session_id: id,
      principal: identity,
      scopes: scopes ?? ["session:read", "session:append"],
      ttl_seconds: ttlSeconds,
    });
    const path = "/api/v1/session-tokens";
    const minted = await this.http.call({ method: "POST", path, body, token: this.options.apiKey });
    return (minted as { readonly token: string }).token;
  }

  /** Closes all sessions, waiting for their appends, and the socket. */
  async close(options: CloseOptions = {}): Promise<void> {
    await Promise.all([...this.open].map((session) => session.close(options)));
    this.lifecycle.close();
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
      ...(title !== undefined && { title }),
      ...(metadata !== undefined && { metadata }),
    });
    return this.openAs(identity, record, choice);
  }

  private async fork({ id, identity, actor }: Session, options: ForkOptions): Promise<Session> {
    const record = await this.sessions.fork(id, options);
    if (identity !== undefined) return this.openAs(identity, record, {});
    // No token is minted for a service: the key is one.
    const token = this.options.apiKey;
    return this.opened({ id: record.id, actor, identity, token, refreshToken: undefined, record }, {});
  }

  private async openAs(identity: Identity, record: SessionRecord, choice: TailChoice): Promise<Session> {
    const { id } = record;
    const mint = (): Promise<string> => this.token({ id, identity });
    const token = await mint();
    const actor = `${identity.type}:${identity.id}`;
    return this.opened({ id, actor, identity, token, refreshToken: mint, record }, choice);
  }

  private async createOrFind(id: string, rest: CreateRecordOptions): Promise<SessionRecord> {
    try {
      return await this.sessions.create({ id, ...rest });
    } catch (error) {
      if (asDaybookError(error).code !== "session_exists") throw error;
      return this.sessions.get(id);
    }
  }

  private opened(
    who: Pick<
      ConstructorParameters<typeof Session>[0],
      "id" | "actor" | "identity" | "token" | "refreshToken" | "record"
    >,
    { cursor, eventsMax = EVENTS_MAX }: TailChoice,
  ): Session {
    const { http, connections, environment } = this;
    const { store } = this.options;
    const tenant = who.token === undefined ? "" : (readClaims(who.token).tenant ?? "");
    const owner = [http.baseUrl, tenant, who.id, who.actor ?? ""].map(encodeURIComponent).join("/");
    const session = new Session({
      ...who,
      cursor,
      eventsMax,
      store,
      storePrefix: `daybook/${owner}/`,
      http,
      connections,
      environment,
      closed: (one) => void this.open.delete(one),
      fork: (parent, options) => this.fork(parent, options),
    });
    this.open.add(session);
    return session;
  }
}
