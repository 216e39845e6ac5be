import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { RawData, WebSocket } from "ws";
import type { Caller } from "../service/caller.js";
import { decodeMessage, envelope, type PhoenixMessage, type Serializer } from "./phoenix-message.js";
import { textFrame } from "./socket-frame.js";

/** One topic that a client has joined. */
export interface Channel {
  /** JSON text of what the join is answered with; an empty object if left out. */
  readonly joined?: string;
  /** A push of the client. Answers with what goes into `phx_reply`. */
  handle(event: string, payload: string): Promise<Reply>;
  /** The socket takes more again. */
  resume(): void;
  /** The client left, joined again, or the socket is gone. */
  stop(): void;
}

export interface Reply {
  readonly status: "ok" | "error";
  /** JSON text. */
  readonly response: string;
}

/** What a channel may do with its subscriber. */
export interface Subscriber {
  readonly caller: Caller;
  /** False when the reader is slow: then `resume` will be called. */
  isReady(): boolean;
  /** Sends a push; false when the reader is slow. */
  push(event: string, payload: Buffer): boolean;
  /** Ends the channel for good: the client will not join again by itself. */
  close(): void;
  /** Ends the channel; the client joins again. */
  fail(): void;
}

/** Opens a channel, or says why not. */
export type JoinTopic = (
  topic: string,
  payload: string,
  subscriber: Subscriber,
) => Promise<Channel | { readonly reason: string }>;

/** Topics one socket may hold. */
const TOPICS_MAX = 1_000;
/** Pushes of one client being answered at once; beyond it the socket is not read. */
const HANDLING_MAX = 256;
/** Frames that are no messages, until the socket is given up. */
const MALFORMED_MAX = 100;
/** From here on a reader is slow, and tails wait. */
const BUFFERED_BYTES_MAX = 1024 * 1024;
/** Replies come on top. A client that asks and does not read the answers is not read either from here on. */
const UNREAD_BYTES_MAX = 2 * BUFFERED_BYTES_MAX;

interface Joined {
  readonly channel: Channel;
  readonly joinRef: string | null;
}

/** One client's socket with all its topics. */
export class PhoenixSocket {
  private readonly topics = new Map<string, Joined>();
  private handling = 0;
  private malformed = 0;
  private isPaused = false;
  private isClosed = false;
  private order: Promise<void> = Promise.resolve();

  constructor(
    private readonly webSocket: WebSocket,
    private readonly socket: Duplex,
    private readonly options: {
      readonly caller: Caller;
      readonly serializer: Serializer;
      readonly join: JoinTopic;
      readonly logger: Logger;
    },
  ) {
    webSocket.on("message", (data, isBinary) => this.receive(data, isBinary));
    webSocket.on("close", () => this.stopAll());
    socket.on("drain", () => this.drained());
  }

  private receive(data: RawData, isBinary: boolean): void {
    const message = isBinary
      ? undefined
      : decodeMessage((data as Buffer).toString("utf8"), this.options.serializer);
    if (message === undefined) {
      if (++this.malformed > MALFORMED_MAX) this.webSocket.close(1008, "malformed_frames");
      return;
    }
    this.handling++;
    this.dispatch(message)
      .catch((error: unknown) => {
        this.options.logger.error({ err: error }, "a channel message failed");
        this.webSocket.close(1011, "internal_error");
      })
      .finally(() => {
        this.handling--;
        this.pauseOrResume();
      });
    this.pauseOrResume();
  }

  private pauseOrResume(): void {
    const mustPause = this.handling >= HANDLING_MAX || this.socket.writableLength >= UNREAD_BYTES_MAX;
    if (mustPause === this.isPaused) return;
    this.isPaused = mustPause;
    if (mustPause) this.webSocket.pause();
    else this.webSocket.resume();
  }

  /** There is room again. Whoever gets some of it now is last the next time. */
  private drained(): void {
    this.pauseOrResume();
    for (const [topic, joined] of [...this.topics]) {
      if (!this.isReady()) return;
      this.topics.delete(topic);
      this.topics.set(topic, joined);
      joined.channel.resume();
    }
  }

  private isReady(): boolean {
    return this.socket.writableLength < BUFFERED_BYTES_MAX;
  }

  private async dispatch(message: PhoenixMessage): Promise<void> {
    const { topic, event } = message;
    if (topic === "phoenix" && event === "heartbeat") this.reply(message, OK);
    else if (event === "phx_join") {
      // Joins and leaves one after the other: a topic never has two channels.
      await this.inOrder(() => this.join(message));
    } else if (event === "phx_leave") await this.inOrder(() => this.leave(message));
    else await this.handle(message);
  }

  private inOrder(step: () => Promise<void> | void): Promise<void> {
    const done = this.order.then(step);
    this.order = done.catch(() => undefined);
    return done;
  }

  private async join(message: PhoenixMessage): Promise<void> {
    if (this.isClosed) return;
    const { topic, joinRef, payload } = message;
    const before = this.topics.get(topic);
    if (before !== undefined) this.end(topic, before, "phx_close");
    if (this.topics.size >= TOPICS_MAX) {
      this.reply(message, failed("too_many_topics"));
      return;
    }
    const attempt: { joined?: Joined; ended?: "phx_close" | "phx_error" } = {};
    const end = (event: "phx_close" | "phx_error"): void => {
      // Before the join is answered the client would not know what was meant.
      if (attempt.joined === undefined) attempt.ended = event;
      else if (this.topics.get(topic) === attempt.joined) this.end(topic, attempt.joined, event);
    };
    const opened = await this.options.join(topic, payload, {
      caller: this.options.caller,
      isReady: () => this.isReady(),
      push: (event, body) => this.send({ joinRef, ref: null, topic, event }, body),
      close: () => end("phx_close"),
      fail: () => end("phx_error"),
    });
    if ("reason" in opened) {
      this.reply(message, failed(opened.reason));
      return;
    }
    // The client may have gone meanwhile; nobody would ever stop it.
    if (this.hasGone()) {
      opened.stop();
      return;
    }
    attempt.joined = { channel: opened, joinRef };
    this.topics.set(topic, attempt.joined);
    this.reply(message, opened.joined === undefined ? OK : { status: "ok", response: opened.joined });
    if (attempt.ended === undefined) opened.resume();
    else end(attempt.ended);
  }

  private leave(message: PhoenixMessage): void {
    const joined = this.topics.get(message.topic);
    this.reply(message, OK);
    // A leave of a join before this one came late.
    const isMeant = message.joinRef === null || message.joinRef === joined?.joinRef;
    if (joined !== undefined && isMeant) this.end(message.topic, joined, "phx_close");
  }

  private hasGone(): boolean {
    return this.isClosed;
  }

  private async handle(message: PhoenixMessage): Promise<void> {
    const joined = this.topics.get(message.topic);
    if (joined === undefined) {
      this.reply(message, failed("unmatched topic"));
      return;
    }
    this.reply(message, await joined.channel.handle(message.event, message.payload));
  }

  private end(topic: string, { channel, joinRef }: Joined, event: "phx_close" | "phx_error"): void {
    this.topics.delete(topic);
    channel.stop();
    this.send({ joinRef, ref: joinRef, topic, event }, EMPTY);
  }

  private reply({ joinRef, ref, topic }: PhoenixMessage, { status, response }: Reply): void {
    if (ref === null) return;
    const body = Buffer.from(`{"status":"${status}","response":${response}}`);
    this.send({ joinRef, ref, topic, event: "phx_reply" }, body);
  }

  private send(head: Omit<PhoenixMessage, "payload">, payload: Buffer): boolean {
    if (this.webSocket.readyState !== this.webSocket.OPEN) return false;
    const [before, after] = envelope(head, this.options.serializer);
    const frame = textFrame([Buffer.from(before), payload, Buffer.from(after)]);
    return this.socket.write(frame) || this.isReady();
  }

  private stopAll(): void {
    this.isClosed = true;
    for (const { channel } of this.topics.values()) channel.stop();
    this.topics.clear();
  }
}

const EMPTY = Buffer.from("{}");
export const OK: Reply = { status: "ok", response: "{}" };

export function failed(reason: string): Reply {
  return { status: "error", response: JSON.stringify({ reason }) };
}
