import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { eventually, within } from "@daybook/test-kit";

/** A TCP connection to a server, byte by byte: for what no HTTP client would send. */
export class RawConnection implements Disposable {
  text = "";
  /** Resolves when the server has ended the connection. */
  readonly ended: Promise<void>;

  private constructor(readonly socket: Socket) {
    socket.setEncoding("latin1").on("data", (chunk) => (this.text += String(chunk)));
    socket.on("error", () => undefined);
    this.ended = new Promise((resolve) => socket.once("close", () => resolve()));
  }

  static async open(url: string): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const connection = new RawConnection(socket);
    await once(socket, "connect");
    return connection;
  }

  write(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Waits until what came so far holds this text. */
  async shows(text: string): Promise<void> {
    // Not all of it again and again: there may be many megabytes.
    let from = 0;
    await eventually(`${JSON.stringify(text)} comes over a connection`, () => {
      const isThere = this.text.includes(text, from);
      from = Math.max(0, this.text.length - text.length);
      return isThere;
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Sends bytes and reads until the server ends the connection; ask for `Connection: close`. */
export async function rawRequest(url: string, ...parts: (string | Uint8Array)[]): Promise<RawAnswer> {
  using connection = await RawConnection.open(url);
  for (const part of parts) connection.write(part);
  await within("a connection ends", connection.ended);
  return parseAnswer(connection.text);
}

export function parseAnswer(text: string): RawAnswer {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), head, body: rest.join("\r\n\r\n") };
}

/** A request's text, with `Host` and `Connection: close`. */
export function requestText(
  url: string,
  { line, headers = {}, body }: { line: string; headers?: Record<string, string>; body?: string },
): string {
  const all: Record<string, string> = {
    host: new URL(url).host,
    connection: "close",
    ...(body !== undefined && { "content-type": "application/json", "content-length": `${body.length}` }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${line} HTTP/1.1\r\n${lines.join("")}\r\n${body ?? ""}`;
}

/** A WebSocket handshake by hand; what comes after it is bare frames. */
export async function openBareSocket(url: string, id: string, query = ""): Promise<RawConnection> {
  const connection = await RawConnection.open(url);
  connection.write(upgradeText(url, `/v1/sessions/${encodeURIComponent(id)}/tail${query}`));
  await connection.shows("\r\n\r\n");
  return connection;
}

export function upgradeText(url: string, path: string, headers: Record<string, string> = {}): string {
  return requestText(url, {
    line: `GET ${path}`,
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
    },
  });
}
