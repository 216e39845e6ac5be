import type { WebSocket } from "ws";

/**
 * Finds sockets whose other end is gone without a word. One timer for all; a socket that has not answered the last
 * ping by the next one is dropped. A client that merely says nothing is kept: it answers pings.
 */
export class SocketPings {
  private readonly waiting = new Map<WebSocket, boolean>();
  private readonly timer: NodeJS.Timeout;

  constructor(intervalSeconds: number) {
    this.timer = setInterval(() => this.ping(), intervalSeconds * 1000);
    this.timer.unref();
  }

  add(socket: WebSocket): () => void {
    this.waiting.set(socket, false);
    socket.on("pong", () => this.waiting.has(socket) && this.waiting.set(socket, false));
    return () => this.waiting.delete(socket);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private ping(): void {
    for (const [socket, unanswered] of this.waiting) {
      if (unanswered) {
        socket.terminate();
        continue;
      }
      this.waiting.set(socket, true);
      socket.ping();
    }
  }
}
