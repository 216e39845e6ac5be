import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";

/** Upgrades hand out a Duplex; it is the TCP socket, which counts. */
type Counting = Duplex & { readonly bytesWritten: number };

/** A socket as it stood when it was last pinged. */
interface Watched {
  readonly socket: Counting;
  unanswered: boolean;
  /** Something waited for the other end to read. */
  behind: boolean;
  /** Bytes that had left this process. */
  leftBytes: number;
}

/**
 * Finds sockets whose other end is gone without a word. One timer for all; a socket that has not answered the last
 * ping by the next one is dropped. A client that merely says nothing is kept: it answers pings. So is one that reads
 * slowly: the ping waits behind what it has yet to read, and that it takes more of it shows that it lives.
 */
export class SocketPings {
  private readonly watched = new Map<WebSocket, Watched>();
  private readonly timer: NodeJS.Timeout;

  constructor(intervalSeconds: number) {
    this.timer = setInterval(() => this.ping(), intervalSeconds * 1000);
    this.timer.unref();
  }

  /** Watches a WebSocket and the connection under it. */
  add(webSocket: WebSocket, socket: Duplex): () => void {
    const watched: Watched = { socket: socket as Counting, unanswered: false, behind: false, leftBytes: 0 };
    this.watched.set(webSocket, watched);
    webSocket.on("pong", () => (watched.unanswered = false));
    return () => this.watched.delete(webSocket);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private ping(): void {
    for (const [webSocket, watched] of this.watched) {
      const { socket } = watched;
      const leftBytes = socket.bytesWritten - socket.writableLength;
      const takesMore = watched.behind && leftBytes > watched.leftBytes;
      if (watched.unanswered && !takesMore) {
        webSocket.terminate();
        continue;
      }
      watched.unanswered = true;
      watched.behind = socket.writableLength > 0;
      watched.leftBytes = leftBytes;
      webSocket.ping();
    }
  }
}
