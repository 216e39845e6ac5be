import type { Connections } from "./connection.js";
import type { Environment } from "./environment.js";
import { type DaybookError, isObject } from "./errors.js";
import { END, EventWindow } from "./event-window.js";
import type { TokenKeeper } from "./token-keeper.js";
import { Topic } from "./topic.js";
import type { Gap, SessionEvent } from "./wire.js";

/** As much in one push as the server sends in one. */
const BATCH_SIZE = 1_000;

/**
 * - `idle`: nobody listens yet, so nothing is connected
 * - `connecting`: on the way, for the first time or after a token
 * - `replaying`: events that were there before are coming in
 * - `live`: all that was there has been seen; new events come as they are committed
 * - `offline`: the connection is lost; it is being tried again
 * - `ended`: nothing will come any more, since the session was deleted or may not be read; `error` says why
 * - `closed`: by `close()`
 */
export type TailStatus = "idle" | "connecting" | "replaying" | "live" | "offline" | "ended" | "closed";

export interface TailOptions {
  readonly sessionId: string;
  readonly cursor: number;
  readonly eventsMax: number;
  readonly connections: Connections;
  readonly environment: Environment;
  readonly tokens: TokenKeeper;
  readonly probe: () => Promise<unknown>;
  /** New events, each once, in order. */
  readonly events: (events: readonly SessionEvent[]) => void;
  readonly gap: (gap: Gap) => void;
  /** Nothing more will come. */
  readonly ended: (error: DaybookError) => void;
  /** Its status may be another. */
  readonly changed: () => void;
}

/** A session's events as they come in: replay, then live, over one topic. */
export class Tail {
  readonly window: EventWindow;
  private readonly topic: Topic;
  /** The session's last seq when the topic was joined: up to there it is replay. */
  private headAtJoin = 0;

  constructor(private readonly options: TailOptions) {
    this.window = new EventWindow(options.cursor, options.eventsMax);
    this.topic = new Topic({
      ...options,
      name: `tail:${options.sessionId}`,
      joinPayload: () => ({ cursor: this.window.cursor, batch_size: BATCH_SIZE }),
      joined: ({ last_seq: lastSeq }) => {
        this.headAtJoin = typeof lastSeq === "number" ? lastSeq : 0;
        if (this.window.cursor === END) this.window.reset(this.headAtJoin);
      },
      received: (event, payload) => this.received(event, payload),
    });
  }

  get status(): TailStatus {
    switch (this.topic.kind) {
      case "idle":
      case "ended":
      case "closed":
        return this.topic.kind;
      case "joined":
        return this.window.cursor >= this.headAtJoin ? "live" : "replaying";
      case "down":
      case "joining":
      case "waiting":
      case "refreshing":
        return this.topic.isFailing ? "offline" : "connecting";
    }
  }

  /** Why it ended. */
  get reason(): DaybookError | undefined {
    return this.topic.reason;
  }

  start(): void {
    if (this.topic.kind === "idle" || this.topic.kind === "ended") this.topic.start();
  }

  tokenChanged(): void {
    this.topic.tokenChanged();
  }

  close(): void {
    this.topic.close();
  }

  private received(event: string, payload: unknown): void {
    if (!isObject(payload)) return;
    if (event === "events" && Array.isArray(payload.events)) this.take(payload.events as SessionEvent[]);
    if (event === "gap") this.jump(payload as unknown as Gap);
  }

  private take(events: readonly SessionEvent[]): void {
    const { taken, isBroken } = this.window.push(events);
    if (taken.length > 0) this.options.events(taken);
    // Never skip: what is missing is asked for again, from the last that was there.
    if (isBroken) this.topic.rejoin();
  }

  private jump(gap: Gap): void {
    this.window.reset(gap.next_cursor);
    this.options.gap(gap);
  }
}
