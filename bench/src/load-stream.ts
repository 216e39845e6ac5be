import type { Socket } from "node:net";
import { openSocket, requestHead } from "./load-connection.js";
import { FrameReader, PING, PONG, TEXT, upgradeRequest } from "./load-frames.js";
import type { Target } from "./load-task.js";

const HEAD_BYTES_MAX = 2_048;

export interface StreamOptions {
  /** Once, whoever closed it. */
  readonly closed?: () => void;
  /** False: reads the head of the answer and nothing more. */
  readonly reading?: boolean;
}

export interface WebSocketOptions extends StreamOptions {
  /** Called for every text frame once it is complete. */
  readonly onText: (start: string) => void;
  /** How much of a text's start is asked for. */
  readonly startBytesMax?: number;
}

/** Gets what follows a head, from `from` to `end`, valid for this call only. */
export type ReadBody = (bytes: Buffer, from: number, end: number) => void;

/** A raw WebSocket. It answers pings. */
export function openWebSocket(target: Target, path: string, options: WebSocketOptions): Promise<Socket> {
  const { onText, startBytesMax } = options;
  const request = upgradeRequest(requestHead(target, `GET ${path}`));
  const readerOf = (socket: Socket): ReadBody => {
    const frames = new FrameReader((opcode, start) => {
      if (opcode === PING) socket.write(PONG);
      if (opcode === TEXT) onText(start);
    }, startBytesMax);
    return (bytes, from, end) => frames.read(bytes, from, end);
  };
  return openStream(target, { request, status: 101 }, readerOf, options);
}

/** A connection with one request, whose answer does not end. Resolves with its head. @throws when it was refused */
export async function openStream(
  target: Target,
  { request, status }: { readonly request: string; readonly status: number },
  readerOf: (socket: Socket) => ReadBody,
  { closed, reading }: StreamOptions,
): Promise<Socket> {
  let head: AnswerHead | undefined = new AnswerHead(status);
  let opened: () => void = () => undefined;
  let failed: (error: unknown) => void = () => undefined;
  const receive = (bytes: Buffer, end: number): boolean => {
    let from = 0;
    if (head !== undefined) {
      try {
        const begin = head.read(bytes, end);
        if (begin === undefined) return true;
        from = begin;
      } catch (error) {
        failed(error);
        return false;
      }
      head = undefined;
      opened();
    }
    if (reading === false) return false;
    readBody(bytes, from, end);
    return true;
  };
  const socket = await openSocket(target, receive, () => {
    failed(new Error("a stream was closed"));
    closed?.();
  });
  // Nothing comes before the request.
  const readBody = readerOf(socket);
  try {
    await new Promise<void>((resolve, reject) => {
      [opened, failed] = [resolve, reject];
      socket.write(request);
    });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The head of an answer, and where in the bytes its body begins. */
export class AnswerHead {
  private text = "";

  constructor(private readonly status: number) {}

  /** @returns where the body begins once the head is complete. @throws when it has another status */
  read(bytes: Buffer, end: number): number | undefined {
    const before = this.text.length;
    this.text += bytes.toString("latin1", 0, Math.min(end, HEAD_BYTES_MAX));
    const headEnd = this.text.indexOf("\r\n\r\n");
    if (headEnd < 0) return undefined;
    if (!this.text.startsWith(`HTTP/1.1 ${this.status}`))
      throw new Error(`a stream was refused: ${this.text}`);
    return headEnd + 4 - before;
  }
}
