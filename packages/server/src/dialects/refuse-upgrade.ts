import type { Duplex } from "node:stream";
import { type DaybookError, ERRORS } from "@daybook/protocol";
import { errorHeaders } from "../http/send-error.js";

/** An HTTP answer on a socket that wanted to be upgraded. */
export function refuseUpgrade(socket: Duplex, error: DaybookError): void {
  const body = JSON.stringify(error.toBody());
  const headers = {
    ...errorHeaders(error),
    "content-type": "application/json; charset=utf-8",
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.on("error", () => undefined);
  socket.end(`HTTP/1.1 ${ERRORS[error.code].http} ${reasonOf(error)}\r\n${lines.join("")}\r\n${body}`);
}

function reasonOf({ code }: DaybookError): string {
  return code.replaceAll("_", " ");
}
