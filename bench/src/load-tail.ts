import type { Socket } from "node:net";
import { openSocket, requestHead } from "./load-connection.js";
import { FrameReader, Handshake, PING, PONG, TEXT } from "./load-frames.js";
import type { Target } from "./load-task.js";

export interface TailOptions {
  readonly id: string;
  /** Called for every text frame once it is complete. Its text is not looked at. */
  readonly onFrame: () => void;
  /** False: reads the handshake and nothing more. */
  readonly reading?: boolean;
}

/** A raw WebSocket tail from the first event on. It counts frames by their headers. */
export class RawTail {
  private socket: Socket | undefined;
  private handshake: Handshake | undefined = new Handshake();
  private opened: () => void = () => undefined;
  private failed: (error: unknown) => void = () => undefined;
  private readonly frames = new FrameReader((opcode) => this.frameEnded(opcode));

  private constructor(private readonly options: TailOptions) {}

  static async open(target: Target, options: TailOptions): Promise<RawTail> {
    const tail = new RawTail(options);
    const opened = new Promise<void>((resolve, reject) => {
      tail.opened = resolve;
      tail.failed = reject;
    });
    tail.socket = await openSocket(
      target,
      (bytes, end) => tail.receive(bytes, end),
      () => tail.failed(new Error("a tail was closed")),
    );
    tail.socket.write(Handshake.request(requestHead(target, `GET /v1/sessions/${options.id}/tail`)));
    await opened;
    return tail;
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
        this.opened();
        from = begin;
      }
    } catch (error) {
      this.failed(error);
      return false;
    }
    if (this.options.reading === false) return false;
    this.frames.read(bytes, from, end);
    return true;
  }

  private frameEnded(opcode: number): void {
    if (opcode === PING) this.socket?.write(PONG);
    if (opcode === TEXT) this.options.onFrame();
  }
}
