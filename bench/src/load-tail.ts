import type { Socket } from "node:net";
import { openSocket, requestHead } from "./load-connection.js";
import type { Target } from "./load-task.js";

const UPGRADE =
  "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/** A masked pong that says nothing. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
const HEADER_BYTES_MAX = 10;

export interface TailOptions {
  readonly id: string;
  /** Called for every text frame once it is complete. Its text is not looked at. */
  readonly onFrame: () => void;
  /** False: reads the handshake and nothing more. */
  readonly reading?: boolean;
}

/** A raw WebSocket tail from the first event on. It counts frames by their headers. */
export class RawTail {
  frames = 0;
  private socket: Socket | undefined;
  private opened: (() => void) | undefined;
  private failed: ((error: Error) => void) | undefined;
  private handshake = "";
  /** Payload bytes of the current frame that are still to come. */
  private payloadLeft = 0;
  private opcode = 0;
  /** The pieces of a header that came in parts. */
  private readonly header = Buffer.alloc(HEADER_BYTES_MAX);
  private headerBytes = 0;

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
      () => tail.failed?.(new Error("a tail was closed")),
    );
    tail.socket.write(requestHead(target, `GET /v1/sessions/${options.id}/tail`) + UPGRADE);
    await opened;
    return tail;
  }

  close(): void {
    this.socket?.destroy();
  }

  private receive(bytes: Buffer, end: number): boolean {
    let at = 0;
    if (this.opened !== undefined) {
      const before = this.handshake.length;
      this.handshake += bytes.toString("latin1", 0, Math.min(end, 2_048));
      const headEnd = this.handshake.indexOf("\r\n\r\n");
      if (headEnd < 0) return true;
      if (this.handshake.startsWith("HTTP/1.1 101")) this.opened();
      else this.failed?.(new Error(`a tail was refused: ${this.handshake}`));
      this.opened = undefined;
      this.handshake = "";
      at = headEnd + 4 - before;
    }
    if (this.options.reading === false) return false;
    this.readFrames(bytes, at, end);
    return true;
  }

  private readFrames(bytes: Buffer, from: number, end: number): void {
    let at = from;
    while (at < end) {
      if (this.payloadLeft === 0) {
        at = this.readHeader(bytes, at, end);
        continue;
      }
      const taken = Math.min(this.payloadLeft, end - at);
      at += taken;
      this.payloadLeft -= taken;
      if (this.payloadLeft === 0) this.frameEnded();
    }
  }

  /** Where the payload begins; a header that is not complete yet is kept, and everything is read then. */
  private readHeader(bytes: Buffer, at: number, end: number): number {
    if (this.headerBytes === 0 && end - at >= HEADER_BYTES_MAX) return at + this.understand(bytes, at);
    let next = at;
    while (next < end) {
      this.header[this.headerBytes++] = bytes[next++] ?? 0;
      if (this.headerBytes < 2 || this.headerBytes < headerLength(this.header[1] ?? 0)) continue;
      this.headerBytes = 0;
      this.understand(this.header, 0);
      return next;
    }
    return next;
  }

  private understand(bytes: Buffer, at: number): number {
    this.opcode = (bytes[at] ?? 0) & 0x0f;
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    if (short === 126) this.payloadLeft = bytes.readUInt16BE(at + 2);
    else if (short === 127) this.payloadLeft = Number(bytes.readBigUInt64BE(at + 2));
    else this.payloadLeft = short;
    if (this.payloadLeft === 0) this.frameEnded();
    return headerLength(short);
  }

  private frameEnded(): void {
    if (this.opcode === 9) this.socket?.write(PONG);
    if (this.opcode !== 1) return;
    this.frames++;
    this.options.onFrame();
  }
}

function headerLength(secondByte: number): number {
  return secondByte === 126 ? 4 : secondByte === 127 ? HEADER_BYTES_MAX : 2;
}
