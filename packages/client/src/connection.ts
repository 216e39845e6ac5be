import { backoffMs } from "./backoff.js";
import {
  type ConnectionEffect,
  type ConnectionEvent,
  type ConnectionState,
  NOT_CONNECTED,
  stepConnection,
} from "./connection-machine.js";
import { DaybookError } from "./errors.js";
import type { Environment, WebSocketConstructor, WebSocketLike } from "./environment.js";

/** A message of a channel: `[join_ref, ref, topic, event, payload]` on the wire. */
export interface Message {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly event: string;
  readonly payload: unknown;
}

/** Somebody who holds a topic. */
export interface TopicHolder {
  /** What may open a socket in his name. */
  readonly token: string | undefined;
  up(): void;
  down(): void;
  received(message: Message): void;
  /** A socket with his token could not be opened: the token may be why, and a browser does not say. */
  suspectToken(): void;
  /** Whether the connection is up, coming up or waiting has changed. */
  changed(): void;
}

export interface ConnectionOptions {
  readonly baseUrl: string;
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly environment: Environment;
}

/** Topics on one socket, as many as the server takes. */
const TOPICS_MAX = 1_000;

/** One socket with many topics, for as long as anybody holds one. */
export class Connection {
  private state: ConnectionState = NOT_CONNECTED;
  private socket: WebSocketLike | undefined;
  private opener: TopicHolder | undefined;
  private readonly holders = new Map<string, TopicHolder>();
  private stopTimer: () => void = () => undefined;
  private lastRef = 0;
  private readonly stopWaking: () => void;

  constructor(private readonly options: ConnectionOptions & { readonly WebSocket: WebSocketConstructor }) {
    this.stopWaking = options.environment.onWake(() => this.step("wake"));
  }

  get isUp(): boolean {
    return this.state.kind === "open";
  }

  /** Nothing answers: it was tried and failed. */
  get isFailing(): boolean {
    return this.state.failures > 0 && this.state.kind !== "open";
  }

  hasRoomFor(topic: string): boolean {
    return this.holders.size < TOPICS_MAX && !this.holders.has(topic);
  }

  hold(topic: string, holder: TopicHolder): void {
    this.holders.set(topic, holder);
    if (this.isUp) holder.up();
    else this.step("wanted");
  }

  release(topic: string): void {
    if (this.holders.delete(topic) && this.holders.size === 0) this.step("unwanted");
  }

  newRef(): string {
    return String(++this.lastRef);
  }

  /** Sends a message; it is lost when the connection is. */
  send(topic: string, { joinRef, ref, event, payload }: Message): void {
    if (this.isUp) this.socket?.send(JSON.stringify([joinRef, ref, topic, event, payload]));
  }

  close(): void {
    this.stopWaking();
    this.step("close");
  }

  private step(kind: ConnectionEvent["kind"]): void {
    const { random } = this.options.environment;
    const before = this.state;
    const { state, effects } = stepConnection(before, { kind }, (failures) => backoffMs(failures, random()));
    this.state = state;
    for (const effect of effects) this.run(effect);
    if (before.kind === "connecting" && state.kind === "waiting") this.opener?.suspectToken();
    if (state.kind !== before.kind) this.tell((holder) => holder.changed());
  }

  private run(effect: ConnectionEffect): void {
    switch (effect.kind) {
      case "open":
        this.open();
        break;
      case "drop":
        this.drop();
        break;
      case "heartbeat":
        this.send("phoenix", { joinRef: null, ref: this.newRef(), event: "heartbeat", payload: {} });
        break;
      case "up":
        this.tell((holder) => holder.up());
        break;
      case "down":
        this.tell((holder) => holder.down());
        break;
      case "timer":
        this.stopTimer();
        this.stopTimer = this.options.environment.clock.after(effect.ms, () => this.step("timer"));
        break;
      case "stop_timer":
        this.stopTimer();
    }
  }

  private tell(what: (holder: TopicHolder) => void): void {
    for (const holder of [...this.holders.values()]) what(holder);
  }

  private open(): void {
    this.drop();
    this.opener = this.nextOpener();
    let socket: WebSocketLike;
    try {
      socket = new this.options.WebSocket(socketUrl(this.options.baseUrl, this.opener?.token));
    } catch {
      // A page's policy forbids it, say. As good as a network that is not there.
      this.options.environment.clock.after(0, () => this.step("lost"));
      return;
    }
    this.socket = socket;
    // A socket that was given up may still speak; nobody listens.
    socket.onopen = () => {
      if (this.socket === socket) this.step("opened");
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      this.step("lost");
    };
    // Always followed by a close.
    socket.onerror = () => undefined;
    socket.onmessage = ({ data }: { readonly data: unknown }) => {
      if (this.socket === socket && typeof data === "string") this.receive(data);
    };
  }

  /** Topics bring their own tokens; the socket itself is opened with that of one of them, each time another. */
  private nextOpener(): TopicHolder | undefined {
    const [topic, opener] = this.holders.entries().next().value ?? [];
    if (topic === undefined || opener === undefined) return undefined;
    this.holders.delete(topic);
    this.holders.set(topic, opener);
    return opener;
  }

  private drop(): void {
    const { socket } = this;
    this.socket = undefined;
    socket?.close();
  }

  private receive(text: string): void {
    this.step("received");
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      // Not of this protocol: a proxy's, perhaps.
      return;
    }
    if (!Array.isArray(message) || message.length !== 5) return;
    const [joinRef, ref, topic, event, payload] = message as [
      string | null,
      string | null,
      string,
      string,
      unknown,
    ];
    this.holders.get(topic)?.received({ joinRef, ref, event, payload });
  }
}

function socketUrl(baseUrl: string, token: string | undefined): string {
  const query = token === undefined ? "" : `&token=${encodeURIComponent(token)}`;
  return `${baseUrl.replace(/^http/, "ws")}/v1/socket/websocket?vsn=2.0.0${query}`;
}

/** Connections of one client. A socket has each topic once, so a second holder of a topic gets a second socket. */
export class Connections {
  private readonly open: Connection[] = [];
  private isClosed = false;

  constructor(private readonly options: ConnectionOptions) {}

  /** @throws DaybookError no_websocket */
  demandWebSocket(): WebSocketConstructor {
    const { WebSocket } = this.options;
    if (WebSocket !== undefined) return WebSocket;
    throw new DaybookError(
      "no_websocket",
      "There is no WebSocket here. Pass one, say that of the ws package: new Daybook({ WebSocket }).",
    );
  }

  /** @throws DaybookError no_websocket */
  hold(topic: string, holder: TopicHolder): Connection {
    const WebSocket = this.demandWebSocket();
    let connection = this.open.find((one) => one.hasRoomFor(topic));
    if (connection === undefined) {
      connection = new Connection({ ...this.options, WebSocket });
      if (this.isClosed) connection.close();
      else this.open.push(connection);
    }
    connection.hold(topic, holder);
    return connection;
  }

  close(): void {
    this.isClosed = true;
    for (const connection of this.open) connection.close();
  }
}
