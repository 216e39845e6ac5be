import type { Socket } from "node:net";
import { openSocket, requestHead } from "./load-connection.js";
import type { TailOptions } from "./load-tail.js";
import type { Target } from "./load-task.js";

/** Stands once in every event that the generator makes. */
const MARK = Buffer.from('"producer_seq":');
const HEAD_BYTES_MAX = 2_048;

/** A tail by server-sent events from the first event on. It counts events by a member that each has once. */
export class SseTail {
  private socket: Socket | undefined;
  private opened: (() => void) | undefined;
  private failed: ((error: Error) => void) | undefined;
  private head = "";
  /** The end of what was read, as long as it may be the beginning of a mark. */
  private rest = Buffer.alloc(0);

  private constructor(private readonly options: TailOptions) {}

  static async open(target: Target, options: TailOptions & { readonly path: string }): Promise<SseTail> {
    const tail = new SseTail(options);
    const opened = new Promise<void>((resolve, reject) => {
      tail.opened = resolve;
      tail.failed = reject;
    });
    tail.socket = await openSocket(
      target,
      (bytes, end) => tail.receive(bytes, end),
      () => tail.failed?.(new Error("a tail was closed")),
    );
    tail.socket.write(`${requestHead(target, `GET ${options.path}`)}accept: text/event-stream\r\n\r\n`);
    await opened;
    return tail;
  }

  close(): void {
    this.socket?.destroy();
  }

  private receive(bytes: Buffer, end: number): boolean {
    if (this.opened !== undefined) {
      this.head += bytes.toString("latin1", 0, Math.min(end, HEAD_BYTES_MAX));
      if (!this.head.includes("\r\n\r\n")) return true;
      if (this.head.startsWith("HTTP/1.1 200")) this.opened();
      else this.failed?.(new Error(`a tail was refused: ${this.head}`));
      this.opened = undefined;
    }
    if (this.options.reading === false) return false;
    this.count(bytes.subarray(0, end));
    return true;
  }

  private count(bytes: Buffer): void {
    const edge = Buffer.concat([this.rest, bytes.subarray(0, MARK.length - 1)]);
    // A mark that lies whole in the new bytes is not in here: only as much of them is taken as it lacks.
    this.countIn(edge);
    this.countIn(bytes);
    this.rest = Buffer.from(
      bytes.length >= MARK.length - 1
        ? bytes.subarray(bytes.length - MARK.length + 1)
        : edge.subarray(Math.max(0, edge.length - MARK.length + 1)),
    );
  }

  private countIn(bytes: Buffer): void {
    for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + MARK.length))
      this.options.onFrame();
  }
}
