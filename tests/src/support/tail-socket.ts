import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { eventually, type WireEvent, within } from "@daybook/test-kit";
import { WebSocket } from "ws";

export interface SocketEnd {
  readonly code: number;
  readonly reason: string;
}

/** A raw tail followed with the `ws` client. */
export class TailSocket implements Disposable {
  /** The text of each frame, in order. */
  readonly frames: string[] = [];
  readonly closed: Promise<SocketEnd>;

  constructor(readonly socket: WebSocket) {
    socket.on("message", (data: Buffer, isBinary) => {
      this.frames.push(isBinary ? "a binary frame" : data.toString("utf8"));
    });
    this.closed = new Promise((resolve) =>
      socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() })),
    );
    // What went wrong shows in the close code.
    socket.on("error", () => undefined);
  }

  /** All events so far, from frames of either form. */
  get events(): WireEvent[] {
    return this.frames.flatMap((frame) => JSON.parse(frame) as WireEvent | WireEvent[]);
  }

  get seqs(): number[] {
    return this.events.map(({ seq }) => seq);
  }

  /** Waits until this many frames came. */
  async received(count: number): Promise<void> {
    await eventually(`${count} frames on a tail`, () => this.frames.length >= count);
  }

  /** Waits until the event with this seq came. */
  async reached(seq: number): Promise<void> {
    let looked = 0;
    let last = 0;
    await eventually(`seq ${seq} on a tail`, () => {
      for (; looked < this.frames.length; looked++) {
        const frame = JSON.parse(this.frames[looked] ?? "") as WireEvent | WireEvent[];
        last = [frame].flat().at(-1)?.seq ?? last;
      }
      return last >= seq;
    });
  }

  close(): Promise<SocketEnd> {
    this.socket.close();
    return this.closed;
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }
}

export interface SocketOptions {
  readonly headers?: Record<string, string>;
}

export function tailUrl(base: string, id: string, query = ""): string {
  return `${base.replace(/^http/, "ws")}/v1/sessions/${encodeURIComponent(id)}/tail${query}`;
}

/** Opens a raw tail. Listeners stand before the first frame can come. */
export async function openTail(
  base: string,
  id: string,
  query = "",
  options: SocketOptions = {},
): Promise<TailSocket> {
  const tail = new TailSocket(new WebSocket(tailUrl(base, id, query), options));
  await within("a tail opens", once(tail.socket, "open"));
  return tail;
}

export interface Refusal {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly json: Record<string, unknown>;
}

/** The answer to an upgrade that must be refused. */
export async function refusedUpgrade(url: string, options: SocketOptions = {}): Promise<Refusal> {
  const socket = new WebSocket(url, options);
  socket.on("error", () => undefined);
  const refused = once(socket, "unexpected-response") as Promise<[unknown, IncomingMessage]>;
  const [, response] = await within("an upgrade is refused", refused);
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    json: JSON.parse(text) as Record<string, unknown>,
  };
}
