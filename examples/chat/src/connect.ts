import { Daybook } from "@daybook/client";
import { WebSocket } from "ws";

/** Sessions of this app carry it in their metadata. */
export const APP = { app: "chat" } as const;

const DAYBOOK_URL = process.env["DAYBOOK_BASE_URL"] ?? "http://127.0.0.1:4000";

/** Where a page finds the server, if that is another place than where this process does. */
export const PUBLIC_URL = process.env["DAYBOOK_PUBLIC_URL"] ?? DAYBOOK_URL;

/** A client of the server that the environment names, as the service that the key belongs to. */
export function connect(): Daybook {
  return new Daybook({ baseUrl: DAYBOOK_URL, apiKey: process.env["DAYBOOK_API_KEY"], WebSocket });
}
