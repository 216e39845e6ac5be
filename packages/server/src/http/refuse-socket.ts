import type { Duplex } from "node:stream";
import { type DaybookError, ERRORS } from "@daybook/protocol";
import { SECURITY_HEADERS } from "./security-headers.js";
import { errorHeaders } from "./send-error.js";

/** How long the other end may take to read the answer and hang up. */
const LINGER_MS = 1_000;

/** An HTTP answer on a bare socket: where a request could not be read, or an upgrade is not granted. */
export function refuseSocket(socket: Duplex, error: DaybookError): void {
  if (socket.writableEnded || socket.destroyed) return;
  const body = JSON.stringify(error.toBody());
  const headers = {
    ...errorHeaders(error),
    ...SECURITY_HEADERS,
    "content-type": "application/json; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const reason = error.code.replaceAll("_", " ");
  // Who is gone already needs no answer.
  socket.on("error", () => undefined);
  socket.end(`HTTP/1.1 ${ERRORS[error.code].http} ${reason}\r\n${lines.join("")}\r\n${body}`);
  // Closing at once, with bytes of the other end unread, would reset the connection before it has read the answer.
  if (!socket.isPaused()) socket.resume();
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(linger));
}
