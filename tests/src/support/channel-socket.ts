import { once } from "node:events";
import { eventually, within, type WireEvent } from "@daybook/test-kit";
import { WebSocket } from "ws";
import type { SocketEnd } from "./tail-socket.js";

/** A channel message as it stands on the wire, either serializer. */
export interface ChannelMessage {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
  readonly event: string;
  readonly payload: Record<string, unknown>;
}

export interface ChannelReply {
  readonly status: string;
  readonly response: Record<string, unknown>;
}

export function channelUrl(
  base: string,
  token: string | undefined,
  vsn: string | undefined = "2.0.0",
): string {
  const query = new URLSearchParams({
    ...(token !== undefined && { token }),
    ...(vsn !== "" && { vsn }),
  }).toString();
  return `${base.replace(/^http/, "ws")}/v1/socket/websocket${query === "" ? "" : `?${query}`}`;
}

/** Phoenix channels spoken frame by frame. */
export class ChannelSocket implements Disposable {
  readonly messages: ChannelMessage[] = [];
  readonly closed: Promise<SocketEnd>;
  private refs = 0;

  private constructor(
    readonly socket: WebSocket,
    private readonly vsn: string,
  ) {
    socket.on("message", (data: Buffer) => this.messages.push(decode(data.toString("utf8"))));
    socket.on("error", () => undefined);
    this.closed = new Promise((resolve) =>
      socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })),
    );
  }

  static async open(
    base: string,
    {
      token,
      vsn = "2.0.0",
      headers = {},
    }: { token?: string; vsn?: string; headers?: Record<string, string> } = {},
  ): Promise<ChannelSocket> {
    const socket = new ChannelSocket(new WebSocket(channelUrl(base, token, vsn), { headers }), vsn);
    await within("a channel socket opens", once(socket.socket, "open"));
    return socket;
  }

  sendText(text: string | Buffer): void {
    this.socket.send(text);
  }

  /** Sends a message and answers with its ref. */
  send(topic: string, event: string, payload: unknown = {}, joinRef: string | null = null): string {
    const ref = String(++this.refs);
    this.sendText(
      this.vsn.startsWith("2")
        ? JSON.stringify([joinRef ?? (event === "phx_join" ? ref : null), ref, topic, event, payload])
        : JSON.stringify({
            join_ref: joinRef ?? (event === "phx_join" ? ref : null),
            ref,
            topic,
            event,
            payload,
          }),
    );
    return ref;
  }

  /** Sends a message and waits for its reply. */
  async ask(
    topic: string,
    event: string,
    payload: unknown = {},
    joinRef: string | null = null,
  ): Promise<ChannelReply> {
    const ref = this.send(topic, event, payload, joinRef);
    return this.replyTo(ref);
  }

  async replyTo(ref: string): Promise<ChannelReply> {
    const message = await this.next(
      `the reply to ${ref}`,
      (one) => one.event === "phx_reply" && one.ref === ref,
    );
    return message.payload as unknown as ChannelReply;
  }

  /** The status, or the reason of an error. */
  async join(topic: string, payload: unknown = {}): Promise<string> {
    return outcomeOf(await this.ask(topic, "phx_join", payload));
  }

  /** The first message, of those that came and those that will, that is as wanted. */
  async next(what: string, wanted: (message: ChannelMessage) => boolean): Promise<ChannelMessage> {
    await eventually(what, () => this.messages.some(wanted));
    const found = this.messages.find(wanted);
    if (found === undefined) throw new Error("it was there a moment ago");
    return found;
  }

  of(topic: string, event?: string): ChannelMessage[] {
    return this.messages.filter((one) => one.topic === topic && (event === undefined || one.event === event));
  }

  events(topic: string): WireEvent[] {
    return this.of(topic, "events").flatMap(({ payload }) => payload["events"] as WireEvent[]);
  }

  seqs(topic: string): number[] {
    return this.events(topic).map(({ seq }) => seq);
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }
}

export function outcomeOf({ status, response }: ChannelReply): string {
  return status === "ok" ? "ok" : String(response["reason"]);
}

function decode(text: string): ChannelMessage {
  const value = JSON.parse(text) as unknown[] | Record<string, unknown>;
  const [joinRef, ref, topic, event, payload] = Array.isArray(value)
    ? value
    : [value["join_ref"], value["ref"], value["topic"], value["event"], value["payload"]];
  return { joinRef, ref, topic, event, payload } as ChannelMessage;
}
