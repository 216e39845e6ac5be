import { type AppendInput, outgoingEvent } from "./append-input.js";
import { backoffMs } from "./backoff.js";
import { CursorKeeper } from "./cursor-keeper.js";
import { Emitter } from "./emitter.js";
import { asDaybookError, DaybookError } from "./errors.js";
import { END } from "./event-window.js";
import { followEvents } from "./follow-events.js";
import type { AppendResult } from "./append-answer.js";
import { type AppendProgress, Outbox } from "./outbox.js";
import { SafeStore } from "./safe-store.js";
import { SessionApi } from "./session-api.js";
import { SessionState } from "./session-state.js";
import type {
  CloseOptions,
  FollowOptions,
  SessionEvents,
  SessionOptions,
  SessionSnapshot,
  SessionStatus,
} from "./session-types.js";
import type { ForkOptions } from "./sessions.js";
import { Tail, type TailStatus } from "./tail.js";
import { TokenKeeper } from "./token-keeper.js";
import type { EventPage, Gap, Identity, SessionEvent, SessionRecord } from "./wire.js";

const PAGE_MAX = 1_000;
const CLOSE_MS = 10_000;

/**
 * One session, as one identity sees and writes it. Made by `daybook.session(…)`.
 *
 * @example
 * await using session = await daybook.session({ identity: daybook.user({ id: "alice" }), id: "support-1" });
 * session.on("event", (event) => console.log(event.seq, event.actor, event.payload));
 * await session.append({ text: "Hello!" });
 */
export class Session implements AsyncDisposable {
  readonly id: string;
  /** Who appends here; undefined when the token speaks for a service. */
  readonly identity: Identity | undefined;
  /** How events appended here are signed: `user:alice`. */
  readonly actor: string | undefined;
  /** As it was when the session was created or bound with an API key. */
  readonly record: SessionRecord | undefined;
  /** What it knows, now and at any point before. */
  readonly state: SessionState;
  private readonly emitter = new Emitter<SessionEvents>();
  private readonly tokens: TokenKeeper;
  private readonly api: SessionApi;
  private readonly tail: Tail;
  private readonly outbox: Outbox;
  private readonly cursorKeeper: CursorKeeper | undefined;
  /** The tail's beginning is known. */
  private isPlaced: boolean;
  private readonly watchers = new Set<() => void>();
  private known: SessionSnapshot | undefined;
  private told: string;

  constructor(private readonly options: SessionOptions) {
    const { id, environment, store, storePrefix, cursor } = options;
    this.id = id;
    this.identity = options.identity;
    this.actor = options.actor;
    this.record = options.record;
    const failed = (error: DaybookError): void => this.emitter.emit("error", error);
    const changed = (): void => this.changed();
    this.tokens = new TokenKeeper({ ...options, changed: () => this.tail.tokenChanged(), failed });
    this.api = new SessionApi(id, options.http, this.tokens);
    this.state = new SessionState(this.api);
    this.tail = new Tail({
      ...options,
      sessionId: id,
      cursor: Math.min(cursor ?? 0, END),
      tokens: this.tokens,
      probe: () => this.api.once("GET", "/events?limit=1", { token: this.tokens.current }),
      events: (events) => this.received(events),
      gap: (gap) => this.jumped(gap),
      ended: failed,
      changed,
    });
    const safe = store && new SafeStore(store, environment.clock, failed);
    this.cursorKeeper = safe && new CursorKeeper(safe, `${storePrefix}cursor`);
    this.isPlaced = cursor !== undefined;
    this.outbox = new Outbox({
      environment,
      tokens: this.tokens,
      send: (body, token, signal) => this.api.once("POST", "/append", { body, token, signal }),
      progress: (progress) => this.progressed(progress),
      paused: failed,
      changed,
      ...(safe && { kept: { store: safe, prefix: `${storePrefix}outbox/` } }),
    });
    this.told = toldOf(this.standing());
  }

  /** Of the tail. */
  get status(): TailStatus {
    return this.tail.status;
  }

  /** The last seq that was seen: where the tail goes on. */
  get cursor(): number {
    const { cursor } = this.tail.window;
    // Where that is has not been said yet.
    return cursor === END ? 0 : cursor;
  }

  /**
   * Appends one event. Appends keep their order, are sent again until they are acknowledged, and never twice.
   *
   * @returns its seq, once it is durable
   * @throws DaybookError what it was refused for. The outbox is paused then, unless it was `expectedSeq` or `state.if`
   *   that was not met.
   *
   * @example
   * const { seq } = await session.append({ type: "note", payload: { text: "Checked." }, refs: { to_seq: 4 } });
   */
  async append(input: AppendInput & { readonly expectedSeq?: number }): Promise<AppendResult> {
    const [result] = await this.appendAll([input], input);
    if (result === undefined)
      throw new DaybookError("invalid_answer", "The append was answered without a result.");
    return result;
  }

  /**
   * Appends events in one commit: all of them, next to each other, or none.
   *
   * @example
   * const [last] = await session.before(Infinity, 1);
   * await session.appendAll([{ text: "First" }, { text: "Second" }], { expectedSeq: last?.seq ?? 0 });
   */
  async appendAll(
    inputs: readonly AppendInput[],
    options: { readonly expectedSeq?: number } = {},
  ): Promise<readonly AppendResult[]> {
    if (inputs.length === 0) return [];
    const events = inputs.map((input) => outgoingEvent(input, this.actor));
    return this.outbox.append(events, options.expectedSeq);
  }

  /**
   * Opens a new session, as the same identity, that shares the events and the state of this one up to a seq: to try
   * from there what else could have been. Needs an API key.
   *
   * @throws DaybookError invalid_cursor, if `atSeq` is beyond the end; session_exists, fork_too_deep
   *
   * @example
   * const other = await session.fork({ atSeq: 1 });
   * await other.append({ text: "Another way from here." });
   */
  fork(options: ForkOptions = {}): Promise<Session> {
    return this.options.fork(this, options);
  }

  /**
   * Listens; the result stops listening. `event` starts the tail. Listeners get what comes after they were added: to
   * read from a certain point on, use `events()`.
   *
   * @example
   * const stop = session.on("status", ({ status, outbox }) => console.log(status, outbox.pending));
   * stop();
   */
  on<Name extends keyof SessionEvents>(
    name: Name,
    listener: (value: SessionEvents[Name]) => void,
  ): () => void {
    const stop = this.emitter.on(name, listener);
    if (name === "event") this.connect();
    return stop;
  }

  /**
   * Starts the tail, as the first listener for `event` does; also again after it ended. It begins where `cursor` said, or
   * else where this client's listeners had come to, if there is a store that knows, or else at the beginning.
   *
   * @throws DaybookError no_websocket
   */
  connect(): void {
    // Where there is none that is said here and now, not when the store has answered.
    this.options.connections.demandWebSocket();
    if (this.isPlaced || this.cursorKeeper === undefined) this.tail.start();
    else
      void this.cursorKeeper.load().then((cursor) => {
        this.place(cursor ?? 0);
        this.tail.start();
      });
  }

  /**
   * Follows the session: events after a cursor, then those that come. It is read at the pace of the loop, however slow:
   * nothing piles up meanwhile. Ends with the signal and with `close()`.
   *
   * @throws DaybookError when nothing more can come: `session_not_found`, `forbidden` …
   *
   * @example
   * for await (const event of session.events({ cursor: 0, signal: AbortSignal.timeout(1_000) })) {
   *   console.log(event.seq, event.type);
   * }
   */
  events(options: FollowOptions = {}): AsyncGenerator<SessionEvent, void, undefined> {
    const { signal } = options;
    const cursor = Math.min(options.cursor ?? 0, END);
    // If nobody else has said where the tail begins: what is before would come for nobody.
    this.place(cursor);
    this.connect();
    const { clock, random } = this.options.environment;
    const source = {
      held: (after: number) => this.tail.window.after(after),
      page: async (after: number) => (await this.page(`cursor=${after}`, signal)).events,
      end: () => this.ending(),
      watch: (changed: () => void) => {
        this.watchers.add(changed);
        return () => void this.watchers.delete(changed);
      },
      pause: (failures: number) =>
        new Promise<void>((resolve) => void clock.after(backoffMs(failures, random()), resolve)),
    };
    return followEvents(source, cursor, signal);
  }

  /**
   * Events `from` to `to`, both included, as many of them as there are.
   *
   * @example
   * const [first] = await session.range(1, 1);
   */
  async range(from: number, to: number): Promise<SessionEvent[]> {
    const events: SessionEvent[] = [];
    for (let cursor = Math.max(0, from - 1); cursor < to;) {
      const limit = Math.min(PAGE_MAX, to - cursor);
      const page = await this.pageOrEnd(`cursor=${cursor}&limit=${limit}`);
      if (page.length === 0) break;
      events.push(...page);
      cursor += page.length;
    }
    return events;
  }

  /**
   * The last events before a seq, ascending: a page to open a long session at its end, and to scroll back.
   *
   * @param seq `Infinity` for the end
   * @example
   * const newest = await session.before(Infinity, 50);
   * const older = await session.before(newest[0]?.seq ?? 1, 50);
   */
  async before(seq: number, limit = 100): Promise<readonly SessionEvent[]> {
    const { events } = await this.page(`before=${Math.min(seq, END)}&limit=${limit}`);
    return events;
  }

  /**
   * Calls the REST API about this session with its token, for what there is no method for. Tries again what may succeed
   * later, unless `isRepeatable` is false.
   *
   * @param rest what follows the session in the path, with its query
   * @returns the parsed answer
   * @throws DaybookError
   *
   * @example
   * const { last_seq } = (await session.call("GET", "/events?limit=1")) as { last_seq: number };
   */
  call(
    method: "GET" | "POST" | "PATCH" | "DELETE",
    rest: string,
    options: {
      readonly body?: string;
      readonly signal?: AbortSignal;
      readonly isRepeatable?: boolean;
    } = {},
  ): Promise<unknown> {
    return this.api.call(method, rest, options);
  }

  /** What is known now, without asking the server. */
  snapshot(): SessionSnapshot {
    this.known ??= {
      ...this.standing(),
      events: [...this.tail.window.events],
      lastSeq: this.cursor,
      pending: [...this.outbox.pending],
    };
    return this.known;
  }

  /** Goes on with a paused outbox, the refused append first, and with a tail that ended for its token. */
  resume({ token }: { readonly token?: string } = {}): void {
    if (token !== undefined) this.tokens.replace(token);
    if (this.tail.reason?.isAuth === true) this.tail.start();
    this.outbox.resume();
  }

  /** Gives up the append that paused the outbox, or everything that waits, and goes on with the rest. */
  discard(which: "refused" | "all" = "refused"): void {
    this.outbox.discard(which);
  }

  /** Resolves when every append is acknowledged, or the outbox is paused. */
  flushed(): Promise<void> {
    return this.outbox.flushed();
  }

  /** Waits for appends that are on their way, then ends the tail and all loops. */
  async close({ timeoutMs = CLOSE_MS }: CloseOptions = {}): Promise<void> {
    const { clock } = this.options.environment;
    let stopWaiting = (): void => undefined;
    const late = new Promise<void>((resolve) => (stopWaiting = clock.after(timeoutMs, resolve)));
    await Promise.race([this.outbox.flushed(), late]);
    stopWaiting();
    this.outbox.close();
    this.tail.close();
    this.tokens.stop();
    this.options.closed(this);
    this.changed();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Where the tail begins, unless that is settled. */
  private place(cursor: number): void {
    if (this.isPlaced) return;
    this.isPlaced = true;
    this.tail.window.reset(cursor);
  }

  private async page(query: string, signal?: AbortSignal): Promise<EventPage> {
    return (await this.api.call("GET", `/events?${query}`, { signal })) as EventPage;
  }

  /** A cursor beyond the end is no mistake of somebody who asks for a range. */
  private async pageOrEnd(query: string): Promise<readonly SessionEvent[]> {
    try {
      return (await this.page(query)).events;
    } catch (error) {
      if (asDaybookError(error).code === "invalid_cursor") return [];
      throw error;
    }
  }

  private received(events: readonly SessionEvent[]): void {
    this.outbox.seen(events);
    this.changed();
    for (const event of events) this.emitter.emit("event", event);
    // After the listeners: an event is rather told twice than never.
    if (this.emitter.has("event")) this.cursorKeeper?.save(this.cursor);
  }

  private jumped(gap: Gap): void {
    this.changed();
    if (gap.from_cursor < END) this.emitter.emit("gap", gap);
  }

  private progressed(progress: AppendProgress): void {
    this.known = undefined;
    this.emitter.emit("append", progress);
  }

  private standing(): SessionStatus {
    const { reason } = this.tail;
    return {
      status: this.tail.status,
      outbox: this.outbox.status,
      ...(reason !== undefined && { error: reason }),
    };
  }

  private changed(): void {
    this.known = undefined;
    const standing = this.standing();
    const told = toldOf(standing);
    if (told !== this.told) {
      this.told = told;
      this.emitter.emit("status", standing);
    }
    for (const watcher of [...this.watchers]) watcher();
  }

  /** Why nothing more can come, if so. */
  private ending(): { readonly error?: DaybookError } | undefined {
    const { status, reason } = this.tail;
    if (status === "closed") return {};
    return status === "ended" && reason !== undefined ? { error: reason } : undefined;
  }
}

/** What of a status is worth telling when it is another. */
function toldOf({ status, outbox, error }: SessionStatus): string {
  return [status, outbox.state, outbox.pending, outbox.error?.code, error?.code].join();
}
