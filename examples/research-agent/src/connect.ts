import { Daybook } from "@daybook/client";
import { WebSocket } from "ws";

/** A client of the server that the environment names. */
export function connect(): Daybook {
  const { DAYBOOK_BASE_URL: baseUrl = "http://127.0.0.1:4000", DAYBOOK_API_KEY: apiKey } = process.env;
  return new Daybook({ baseUrl, apiKey, WebSocket });
}

/** An argument of the command line, which must be there. */
export function argument(index: number, what: string): string {
  const value = process.argv[index + 2];
  if (value === undefined) throw new Error(`${what} is missing.`);
  return value;
}
