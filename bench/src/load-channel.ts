import type { Socket } from "node:net";
import type { Answered } from "./load-connection.js";
import { clientFrame } from "./load-frames.js";
import { openWebSocket } from "./load-stream.js";
import type { Target } from "./load-task.js";

/** Enough to tell a reply from a push, and how it went. */
const START_BYTES = 128;
/** Events of a push: more than come at once. */
const BATCH_SIZE = 100;
const REPLY = '"phx_reply"';
const OK = '"status":"ok"';

/** A Phoenix socket that has joined one session's topic: appends are pushed, answered, and come back as events. */
export class ChannelConnection {
  private socket: Socket | undefined;
  private answered: Answered | undefined;

  static async open(target: Target, id: string): Promise<ChannelConnection> {
    const connection = new ChannelConnection();
    // The token is a parameter: a browser could send no header.
    const path = `/v1/socket/websocket?vsn=2.0.0&token=${target.token ?? ""}`;
    connection.socket = await openWebSocket({ url: target.url }, path, {
      onText: (start) => {
        if (start.includes(REPLY)) connection.answer(start.includes(OK) ? 201 : 400);
      },
      startBytesMax: START_BYTES,
      closed: () => connection.answer(0),
    });
    const join = message(id, "phx_join", `{"cursor":0,"batch_size":${BATCH_SIZE}}`);
    const status = await new Promise<number>((resolve) => {
      connection.send(clientFrame(join), resolve);
    });
    if (status !== 201) throw new Error(`a topic could not be joined: ${status}`);
    return connection;
  }

  /** Answered with 201 as HTTP would be, with 400 when it was refused, with 0 when the socket broke. */
  send(frame: Buffer, answered: Answered): void {
    this.answered = answered;
    this.socket?.write(frame);
  }

  close(): void {
    this.socket?.destroy();
  }

  private answer(status: number): void {
    const { answered } = this;
    this.answered = undefined;
    answered?.(status, 0);
  }
}

/** A list of events, or one, as a frame to send. */
export function appendFrame(id: string, events: readonly string[]): Buffer {
  const [one = ""] = events;
  const payload = events.length === 1 ? `{"event":${one}}` : `{"events":[${events.join(",")}]}`;
  return clientFrame(message(id, "append", payload));
}

function message(id: string, event: string, payload: string): string {
  return `["1","2","tail:${id}","${event}",${payload}]`;
}
