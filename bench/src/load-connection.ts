import { connect, type Socket } from "node:net";
import type { Target } from "./load-task.js";

/** All sockets read into the same bytes: what they hold is looked at before the next read. */
const READ_BUFFER = Buffer.allocUnsafe(512 * 1024);

/** Gets the bytes from 0 to `end`, valid for this call only. False stops reading. */
export type Receive = (bytes: Buffer, end: number) => boolean;

/** A bare connection without a stream's machinery on its reading side: a generator must cost less than the server. */
export function openSocket({ url }: Target, receive: Receive, closed: () => void): Promise<Socket> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: { buffer: READ_BUFFER, callback: (end, bytes) => receive(bytes as Buffer, end) },
    });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      // Told by "close".
      socket.on("error", () => undefined);
      resolve(socket);
    });
    socket.once("close", closed);
  });
}

export type Answered = (status: number, bodyBytes: number) => void;

const CHUNKS_END = "0\r\n\r\n";

/** HTTP/1.1 kept alive, one request at a time. Of an answer only the status and where it ends are looked at. */
export class HttpConnection {
  private socket: Socket | undefined;
  private answered: Answered | undefined;
  private status = 0;
  private bodyBytes = 0;
  /** Body bytes still to come; undefined while the head is not complete. */
  private bodyLeft: number | undefined;
  private head = "";
  /** A body in chunks: the last characters of it so far. */
  private chunksEnd: string | undefined;

  static async open(target: Target): Promise<HttpConnection> {
    const connection = new HttpConnection();
    connection.socket = await openSocket(
      target,
      (bytes, end) => connection.receive(bytes, end),
      () => connection.closed(),
    );
    return connection;
  }

  /** @param request must not change before the answer. A connection that breaks answers with status 0. */
  send(request: Buffer, answered: Answered): void {
    this.answered = answered;
    this.socket?.write(request);
  }

  close(): void {
    this.socket?.destroy();
  }

  private receive(bytes: Buffer, end: number): boolean {
    if (this.chunksEnd !== undefined) this.takeChunks(bytes, 0, end);
    else if (this.bodyLeft !== undefined) this.take(end);
    else this.readHead(bytes, end);
    return true;
  }

  private readHead(bytes: Buffer, end: number): void {
    // A head is far shorter than this; only the first piece of a large body is spelled out for nothing.
    const text = this.head + bytes.toString("latin1", 0, Math.min(end, 2_048));
    const headEnd = text.indexOf("\r\n\r\n");
    if (headEnd < 0) {
      this.head = text;
      return;
    }
    const before = this.head.length;
    this.head = "";
    this.status = Number(text.slice(9, 12));
    if (text.toLowerCase().lastIndexOf("transfer-encoding: chunked", headEnd) >= 0) {
      this.bodyBytes = 0;
      this.chunksEnd = "";
      this.takeChunks(bytes, headEnd + 4 - before, end);
      return;
    }
    const lengthAt = text.toLowerCase().indexOf("content-length: ");
    this.bodyBytes = lengthAt < 0 || lengthAt > headEnd ? 0 : Number.parseInt(text.slice(lengthAt + 16), 10);
    this.bodyLeft = this.bodyBytes;
    this.take(before + end - headEnd - 4);
  }

  /** Nothing comes after an answer, so one that ends like the last chunk is complete. */
  private takeChunks(bytes: Buffer, from: number, end: number): void {
    this.bodyBytes += end - from;
    const last = bytes.toString("latin1", Math.max(from, end - CHUNKS_END.length), end);
    this.chunksEnd = `${this.chunksEnd ?? ""}${last}`.slice(-CHUNKS_END.length);
    if (this.chunksEnd !== CHUNKS_END) return;
    this.chunksEnd = undefined;
    this.answer(this.status, this.bodyBytes);
  }

  private take(bytes: number): void {
    this.bodyLeft = (this.bodyLeft ?? 0) - bytes;
    if (this.bodyLeft > 0) return;
    this.bodyLeft = undefined;
    this.answer(this.status, this.bodyBytes);
  }

  private closed(): void {
    this.answer(0, 0);
  }

  private answer(status: number, bodyBytes: number): void {
    const { answered } = this;
    this.answered = undefined;
    answered?.(status, bodyBytes);
  }
}

/** The head of a request, up to its own headers. */
export function requestHead({ url, token }: Target, line: string): string {
  const authorization = token === undefined ? "" : `authorization: Bearer ${token}\r\n`;
  return `${line} HTTP/1.1\r\nhost: ${new URL(url).host}\r\n${authorization}`;
}

export function postRequest(target: Target, path: string, body: string): Buffer {
  const length = Buffer.byteLength(body);
  const headers = `content-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
  return Buffer.from(requestHead(target, `POST ${path}`) + headers + body);
}
