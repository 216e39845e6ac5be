import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";

/** Headers that speak of the upgrade, and only to the next server (RFC 9110, 7.6.1). */
const ABOUT_UPGRADE = new Set(["upgrade", "connection", "http2-settings"]);

/**
 * Answers a request as if it had not asked for another protocol, as RFC 9110, 7.8 allows. Java's client and
 * `curl --http2` ask for HTTP/2 with their first request; Node takes every such request from its HTTP server, and
 * this gives it back, without the wish.
 */
export function ignoreUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const closes = /\bclose\b/i.test(request.headers.connection ?? "");
  let text = `${request.method ?? "GET"} ${request.url ?? "/"} HTTP/${request.httpVersion}\r\n`;
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? "";
    if (!ABOUT_UPGRADE.has(name.toLowerCase())) text += `${name}: ${request.rawHeaders[index + 1] ?? ""}\r\n`;
  }
  text += `connection: ${closes ? "close" : "keep-alive"}\r\n\r\n`;
  socket.unshift(Buffer.concat([Buffer.from(text, "latin1"), head]));
  server.emit("connection", socket);
}
