import type { Socket } from "node:net";
import { type Answered, openSocket, requestHead } from "./load-connection.js";
import { clientFrame, FrameReader, Handshake, PING, PONG, TEXT } from "./load-frames.js";
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
  private handshake: Handshake | undefined = new Handshake();
  private readonly frames = new FrameReader((opcode, start) => this.frameEnded(opcode, start), START_BYTES);
  private answered: Answered | undefined;

  static async open(target: Target, id: string): Promise<ChannelConnection> {
    const connection = new ChannelConnection();
    connection.socket = await openSocket(
      target,
      (bytes, end) => connection.receive(bytes, end),
      () => connection.answer(0),
    );
    const path = `/v1/socket/websocket?vsn=2.0.0&token=${target.token ?? ""}`;
    connection.socket.write(Handshake.request(requestHead({ url: target.url }, `GET ${path}`)));
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

  private receive(bytes: Buffer, end: number): boolean {
    let from = 0;
    try {
      if (this.handshake !== undefined) {
        const begin = this.handshake.read(bytes, end);
        if (begin === undefined) return true;
        this.handshake = undefined;
        from = begin;
      }
    } catch {
      this.answer(0);
      return false;
    }
    this.frames.read(bytes, from, end);
    return true;
  }

  private frameEnded(opcode: number, start: string): void {
    if (opcode === PING) this.socket?.write(PONG);
    if (opcode === TEXT && start.includes(REPLY)) this.answer(start.includes(OK) ? 201 : 400);
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
