import { eventually, within, type WireEvent } from "@daybook/test-kit";
import { type Channel, type Push, Socket } from "phoenix";
import { WebSocket } from "ws";

export interface PhoenixOptions {
  readonly token?: string;
  /** "2.0.0" is the client's own; "1.0.0" is spoken as older clients did, in objects. */
  readonly vsn?: "1.0.0" | "2.0.0";
  /** What the application gives as its endpoint; the client appends `/websocket`. */
  readonly endpoint?: string;
}

/** The official client of the protocol, quick to come back. */
export class PhoenixClient implements Disposable {
  readonly socket: Socket;
  /** WebSocket close codes, in order. */
  readonly closes: number[] = [];

  constructor(base: string, { token = "", vsn = "2.0.0", endpoint = "/v1/socket" }: PhoenixOptions = {}) {
    this.socket = new Socket(`${base.replace(/^http/, "ws")}${endpoint}`, {
      transport: WebSocket as unknown as new (endpoint: string) => object,
      params: { token },
      reconnectAfterMs: () => 50,
      rejoinAfterMs: () => 50,
      heartbeatIntervalMs: 60_000,
      sessionStorage: {},
      ...(vsn === "1.0.0" && objectSerializer),
    });
    this.socket.onClose(({ code }: { readonly code: number }) => void this.closes.push(code));
    this.socket.connect();
  }

  /** A channel that keeps what it is pushed. The params are asked anew at every join. */
  channel(topic: string, params: object | (() => object) = {}): Subscription {
    return new Subscription(this.socket.channel(topic, params));
  }

  async join(topic: string, params: object | (() => object) = {}): Promise<Subscription> {
    const subscription = this.channel(topic, params);
    const answer = await subscription.join();
    if (answer.status !== "ok")
      throw new Error(`${topic} could not be joined: ${JSON.stringify(answer.response)}`);
    return subscription;
  }

  [Symbol.dispose](): void {
    this.socket.disconnect();
  }
}

/** Version 1 of the wire: messages are objects. */
const objectSerializer = {
  vsn: "1.0.0",
  encode: (message: object, sent: (text: string) => void) => sent(JSON.stringify(message)),
  decode: (text: string, received: (message: object) => void) => received(JSON.parse(text) as object),
};

export interface Answer {
  readonly status: "ok" | "error" | "timeout";
  readonly response: Record<string, unknown>;
}

const PUSHES = [
  "events",
  "gap",
  "token_expired",
  "lifecycle",
  "message",
  "tombstone",
  "phx_close",
  "phx_error",
];

/** A topic of the official client, with everything that was pushed on it. */
export class Subscription {
  readonly pushes: { readonly event: string; readonly payload: Record<string, unknown> }[] = [];
  /** The client ended it for good. */
  isClosed = false;
  errors = 0;

  constructor(readonly channel: Channel) {
    for (const event of PUSHES) {
      channel.on(event, (payload: Record<string, unknown>) => void this.pushes.push({ event, payload }));
    }
    channel.onClose(() => void (this.isClosed = true));
    channel.onError(() => {
      this.errors++;
    });
  }

  join(): Promise<Answer> {
    return answerTo(this.channel.join());
  }

  leave(): Promise<Answer> {
    return answerTo(this.channel.leave());
  }

  push(event: string, payload: object): Promise<Answer> {
    return answerTo(this.channel.push(event, payload));
  }

  of(event: string): Record<string, unknown>[] {
    return this.pushes.filter((push) => push.event === event).map(({ payload }) => payload);
  }

  get batches(): WireEvent[][] {
    return this.of("events").map(({ events }) => events as WireEvent[]);
  }

  get events(): WireEvent[] {
    return this.batches.flat();
  }

  get seqs(): number[] {
    return this.events.map(({ seq }) => seq);
  }

  get lifecycle(): Record<string, unknown>[] {
    return this.of("lifecycle").map(({ event }) => event as Record<string, unknown>);
  }

  async reached(seq: number): Promise<void> {
    await eventually(`seq ${seq} on ${this.channel.topic}`, () => (this.events.at(-1)?.seq ?? 0) >= seq);
  }
}

function answerTo(push: Push): Promise<Answer> {
  const answered = new Promise<Answer>((resolve) => {
    for (const status of ["ok", "error", "timeout"] as const)
      push.receive(status, (response: Record<string, unknown>) => resolve({ status, response }));
  });
  return within("a push is answered", answered);
}
