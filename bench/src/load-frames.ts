const HEADER_BYTES_MAX = 10;
export const TEXT = 1;
export const PING = 9;

/** Finds WebSocket frames of a server in what a socket brings, by their headers; a payload is hardly looked at. */
export class FrameReader {
  /** Payload bytes of the current frame that are still to come. */
  private payloadLeft = 0;
  private opcode = 0;
  /** The pieces of a header that came in parts. */
  private readonly header = Buffer.alloc(HEADER_BYTES_MAX);
  private headerBytes = 0;
  private start = "";

  constructor(
    /** Called once a frame is complete. */
    private readonly onFrame: (opcode: number, start: string) => void,
    /** How much of a payload's start to keep. */
    private readonly startBytesMax = 0,
  ) {}

  read(bytes: Buffer, from: number, end: number): void {
    let at = from;
    while (at < end) {
      if (this.payloadLeft === 0) {
        at = this.readHeader(bytes, at, end);
        continue;
      }
      const taken = Math.min(this.payloadLeft, end - at);
      const wanted = Math.min(taken, this.startBytesMax - this.start.length);
      if (wanted > 0) this.start += bytes.toString("latin1", at, at + wanted);
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
    const { start } = this;
    this.start = "";
    this.onFrame(this.opcode, start);
  }
}

function headerLength(secondByte: number): number {
  return secondByte === 126 ? 4 : secondByte === 127 ? HEADER_BYTES_MAX : 2;
}

const UPGRADE =
  "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

export function upgradeRequest(head: string): string {
  return head + UPGRADE;
}

/** A client's text frame. Its mask is all zeros, which leaves the text as it is: a prepared frame is changed in place. */
export function clientFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const header =
    length < 126
      ? [0x81, 0x80 | length]
      : length < 65_536
        ? [0x81, 0x80 | 126, length >> 8, length & 0xff]
        : [
            0x81,
            0x80 | 127,
            0,
            0,
            0,
            0,
            length >>> 24,
            (length >> 16) & 0xff,
            (length >> 8) & 0xff,
            length & 0xff,
          ];
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), Buffer.from(text)]);
}

/** A masked pong that says nothing. */
export const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
