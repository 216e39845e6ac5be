import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with one append. `lost_answer`: it is written, and nobody learns of it. */
export type Fault = "busy" | "unavailable" | "lost_request" | "lost_answer";

export interface StubEvent {
  readonly seq: number;
  readonly type: string;
  readonly actor?: string;
  readonly producer_id: string;
  readonly producer_seq: number;
  readonly payload: Record<string, unknown>;
}

/** As much of the session dialect as the CLI's own logic needs, in memory, with faults to order. */
export class StubServer {
  readonly sessions = new Map<string, StubEvent[]>();
  readonly requests: { method: string; url: string; body: string; headers: IncomingMessage["headers"] }[] =
    [];
  /** One for each append from now on, first to last; then all go well. */
  faults: (Fault | undefined)[] = [];
  /** Appends wait for this. */
  gate: Promise<void> = Promise.resolve();
  /** Answers before anything else does, when it returns something. */
  intercept: (method: string, url: string, body: string) => { status: number; body: unknown } | undefined =
    () => undefined;

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<StubServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const stub = new StubServer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on("request", (request, response) => void stub.answer(request, response));
    return stub;
  }

  /** For tests that speak WebSocket. */
  get http(): Server {
    return this.server;
  }

  eventsOf(session: string): readonly StubEvent[] {
    return this.sessions.get(session) ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const [method, url] = [request.method ?? "", request.url ?? ""];
    this.requests.push({ method, url, body, headers: request.headers });
    const intercepted = this.intercept(method, url, body);
    if (intercepted !== undefined) {
      send(response, intercepted.status, intercepted.body);
      return;
    }
    const [, session = "", verb = ""] = /^\/v1\/sessions\/([^/?]+)\/?(\w*)/.exec(url) ?? [];
    if (session === "") {
      this.create(body, response);
      return;
    }
    const events = this.sessions.get(decodeURIComponent(session));
    if (events === undefined) {
      send(response, 404, { error: "session_not_found", message: "There is none." });
      return;
    }
    if (verb === "append") return this.appendWithFaults(events, body, request, response);
    if (verb === "events") {
      sendPage(events, url, response);
      return;
    }
    send(response, 200, {
      id: session,
      title: null,
      last_seq: events.length,
      created_at: "2030-01-01T00:00:00.000Z",
    });
  }

  private create(body: string, response: ServerResponse): void {
    const { id } = JSON.parse(body) as { id?: string };
    const name = id ?? `ses_${this.sessions.size}`;
    if (this.sessions.has(name)) {
      send(response, 409, { error: "session_exists", message: "It exists." });
      return;
    }
    this.sessions.set(name, []);
    send(response, 201, { id: name, last_seq: 0 });
  }

  private async appendWithFaults(
    events: StubEvent[],
    body: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const input = JSON.parse(body) as { events?: StubEvent[]; expected_seq?: number } & StubEvent;
    if (input.expected_seq !== undefined && input.expected_seq !== events.length) {
      send(response, 409, { error: "expected_seq_conflict", message: "It is not the last seq." });
      return;
    }
    await this.gate;
    const fault = this.faults.shift();
    if (fault === "busy") {
      send(response, 429, { error: "event_store_backpressure", message: "Busy." });
      return;
    }
    if (fault === "unavailable") {
      send(response, 503, { error: "storage_unavailable", message: "Away." });
      return;
    }
    if (fault === "lost_request") return void request.socket.destroy();
    const results = (input.events ?? [input]).map((event) => appendOne(events, event));
    if (fault === "lost_answer") return void request.socket.destroy();
    const last = { last_seq: events.length, cursor: events.length };
    send(response, 201, input.events === undefined ? { ...results[0], ...last } : { results, ...last });
  }
}

/** The seq of each producer pair, by the list its event is in. */
const seqsOfPairs = new WeakMap<StubEvent[], Map<string, number>>();

function appendOne(events: StubEvent[], event: StubEvent): { seq: number; deduped: boolean } {
  const seqs = seqsOfPairs.get(events) ?? new Map<string, number>();
  seqsOfPairs.set(events, seqs);
  const pair = JSON.stringify([event.producer_id, event.producer_seq]);
  const known = seqs.get(pair);
  if (known !== undefined) return { seq: known, deduped: true };
  events.push({ ...event, seq: events.length + 1 });
  seqs.set(pair, events.length);
  return { seq: events.length, deduped: false };
}

function sendPage(events: readonly StubEvent[], url: string, response: ServerResponse): void {
  const query = new URL(url, "http://stub").searchParams;
  const cursor = Number(query.get("cursor"));
  const page = events.slice(cursor, cursor + Number(query.get("limit")));
  send(response, 200, { events: page, next_cursor: cursor + page.length, last_seq: events.length });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json" }).end(text);
}
