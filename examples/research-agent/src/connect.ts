import { Daybook } from "@daybook/client";
import { WebSocket } from "ws";

/** A client of the server that the environment names. */
export function connect(): Daybook {
  const apiKey = process.env["DAYBOOK_API_KEY"];
  return new Daybook({
    baseUrl: process.env["DAYBOOK_BASE_URL"] ?? "http://127.0.0.1:4000",
    WebSocket,
    ...(apiKey !== undefined && { apiKey }),
  });
}

/** An argument of the command line, which must be there. */
export function argument(index: number, what: string): string {
  const value = process.argv[index + 2];
  if (value === undefined) throw new Error(`${what} is missing.`);
  return value;
}
