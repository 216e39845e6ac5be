import { randomInt, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { DaybookError, type SessionRecord } from "@daybook/client";
import { CAST } from "./cast.js";
import { ChatList } from "./chat-list.js";
import { APP, connect, PUBLIC_URL } from "./connect.js";
import { servePage } from "./serve-page.js";

/**
 * What a product's backend is to its page: it knows who somebody is, says which chats there are, and hands out tokens.
 * It never sees a message: those go between the page and Daybook.
 *
 *     GET  /api/me                     who one is, and where Daybook is
 *     GET  /api/chats                  the chats, again whenever something changes (server-sent events)
 *     POST /api/chats                  a new one
 *     POST /api/chats/ID/token         a token for one person and one chat
 *     POST /api/chats/ID/archive       takes it off the list
 */
const { HOST = "127.0.0.1", PORT } = process.env;
const USUAL_PORT = 5173;
const ADJECTIVES = [
  "Amber",
  "Brisk",
  "Calm",
  "Dapper",
  "Early",
  "Fleet",
  "Gentle",
  "Hazel",
  "Ivory",
  "Jolly",
];
const ANIMALS = [
  "Badger",
  "Curlew",
  "Dunlin",
  "Ermine",
  "Falcon",
  "Grouse",
  "Heron",
  "Ibis",
  "Jackdaw",
  "Kestrel",
];

const daybook = connect();
const chats = new ChatList(daybook);

type Handler = (person: Person, id: string, response: ServerResponse) => unknown;
interface Person {
  readonly id: string;
  readonly name: string;
}

const ROUTES: readonly (readonly [method: string, path: RegExp, handle: Handler])[] = [
  ["GET", /^\/api\/chats$/, (_person, _id, response) => chats.stream(response)],
  ["POST", /^\/api\/chats$/, () => daybook.sessions.create({ id: `chat_${randomUUID()}`, metadata: APP })],
  ["POST", /^\/api\/chats\/([^/]+)\/token$/, (person, id) => mintToken(person, id)],
  ["POST", /^\/api\/chats\/([^/]+)\/archive$/, (_person, id) => archive(id)],
];

const server = createServer((request, response) => {
  handle(request, response).catch((error: unknown) => refuse(response, error));
});
const page = await servePage(server);
server.on("listening", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`backend: http://${HOST === "127.0.0.1" ? "localhost" : HOST}:${port}\n`);
});
server.on("error", (error: NodeJS.ErrnoException) => {
  // Nobody asked for the usual port, so another one is as good.
  if (error.code !== "EADDRINUSE" || PORT !== undefined) throw error;
  server.listen(0, HOST);
});
server.listen(Number(PORT ?? USUAL_PORT), HOST);
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
    void Promise.all([page.close(), daybook.close()]).then(() => process.exit(0));
  });

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://page");
  if (!isForUs(request)) send(response, 403, { error: "This name is not served here." });
  else if (!pathname.startsWith("/api/")) await page.serve(request, response);
  else if (pathname === "/api/me" && request.method === "GET") sendMe(request, response);
  else await call(pathname, request, response);
}

async function call(pathname: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = ROUTES.find(([method, path]) => method === request.method && path.test(pathname));
  const person = personOf(request);
  // Other sites cannot send the cookie, so they cannot do anything here.
  if (person === undefined) send(response, 401, { error: "Ask /api/me first." });
  else if (route === undefined) send(response, 404, { error: "There is no such call." });
  else {
    const [, path, handler] = route;
    const id = decodeURIComponent(path.exec(pathname)?.[1] ?? "");
    const answer = await handler(person, id, response);
    if (!response.headersSent) send(response, 200, answer);
  }
}

/** Who asks here is who the cookie says: a product has its sign-in in this place. */
function sendMe(request: IncomingMessage, response: ServerResponse): void {
  const person = personOf(request) ?? newPerson();
  response.setHeader(
    "set-cookie",
    `person=${person.id}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000`,
  );
  const cast = CAST.map(({ id, name, role }) => ({ id, name, role }));
  send(response, 200, { ...person, daybookUrl: PUBLIC_URL, cast });
}

async function mintToken({ id: person }: Person, id: string): Promise<unknown> {
  await chatOf(id);
  return { token: await daybook.token({ id, identity: daybook.user({ id: person }) }) };
}

async function archive(id: string): Promise<unknown> {
  await chatOf(id);
  await daybook.sessions.archive(id);
  return {};
}

/** The key opens every session of the tenant; a page gets at chats only. */
async function chatOf(id: string): Promise<SessionRecord> {
  const record = await daybook.sessions.get(id).catch((error: unknown) => {
    if (!(error instanceof DaybookError && error.code === "session_not_found")) throw error;
  });
  if (record?.metadata["app"] === APP.app) return record;
  throw new DaybookError("session_not_found", "There is no such chat.", { status: 404 });
}

/** `amber-heron-42`, for Amber Heron. */
function newPerson(): Person {
  const pick = (names: readonly string[]): string => names[randomInt(names.length)] ?? "";
  return personWithId(`${pick(ADJECTIVES)}-${pick(ANIMALS)}-${randomInt(100)}`.toLowerCase());
}

function personOf({ headers }: IncomingMessage): Person | undefined {
  const id = /(?:^|; )person=([a-z]+-[a-z]+-\d+)(?:;|$)/.exec(headers.cookie ?? "")?.[1];
  return id === undefined ? undefined : personWithId(id);
}

function personWithId(id: string): Person {
  const words = id.split("-").slice(0, 2);
  return { id, name: words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(" ") };
}

/** Another site's name that was made to point here gets no tokens. */
function isForUs({ headers }: IncomingMessage): boolean {
  return HOST !== "127.0.0.1" || /^(localhost|127\.0\.0\.1)(:\d+)?$/.test(headers.host ?? "");
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

/** What Daybook says of a call is passed on, so that the page knows whether to try again. */
function refuse(response: ServerResponse, error: unknown): void {
  const known = error instanceof DaybookError ? error : undefined;
  if (known === undefined && !(error instanceof URIError))
    process.stderr.write(`backend: ${String(error)}\n`);
  if (response.headersSent) response.destroy();
  else if (error instanceof URIError) send(response, 400, { error: "This is no path." });
  else if (known === undefined) send(response, 500, { error: "Something went wrong." });
  else send(response, known.status ?? 503, { error: known.message });
}
