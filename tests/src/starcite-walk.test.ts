import { startServerProcess, type ServerProcess } from "@daybook/test-kit";
import { Socket, type Channel } from "phoenix";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { runDaybook } from "./support/run-daybook.js";

/**
 * Every row of the session dialect's facts, against `daybook serve --auth jwt` in a process of its own, with nothing but
 * `fetch`, `ws` and `phoenix`: what a client of Starcite does after its URL and key were changed.
 */
type Json = Record<string, unknown>;

let server: ServerProcess;
let url = "";
let key = "";

beforeAll(async () => {
  server = await startServerProcess({ settings: { auth: "jwt" } });
  url = server.url;
  key = await newKey();
});
afterAll(() => server[Symbol.asyncDispose]());

async function newKey(...more: string[]): Promise<string> {
  const { stdout } = await runDaybook([
    "keys",
    "create",
    "--tenant",
    "acme",
    "--data-dir",
    server.dataDir,
    ...more,
  ]);
  return stdout.trim();
}

interface Answer {
  readonly status: number;
  readonly json: Json;
  readonly headers: Headers;
  readonly text: string;
}

async function call(method: string, path: string, body?: unknown, token = key): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = text === "" ? {} : (JSON.parse(text) as Json);
  return { status: response.status, json, headers: response.headers, text };
}

let counter = 0;
async function session(more: Json = {}): Promise<string> {
  const { json } = await call("POST", "/v1/sessions", { id: `walk-${++counter}`, ...more });
  return String(json["id"]);
}

const event = (n: number, more: Json = {}): Json => ({
  type: "content",
  payload: { text: `no ${n}` },
  producer_id: "walker",
  producer_seq: n,
  ...more,
});

const append = (id: string, body: unknown, token = key): Promise<Answer> =>
  call("POST", `/v1/sessions/${id}/append`, body, token);

/** What the SDK does: the token endpoint is at the origin of the key's `iss`. */
async function mint(id: string, principal = "agent:drafter", ttl = 60, scopes?: string[]): Promise<string> {
  const claims = decode(key);
  const [type, name] = principal.split(":");
  const answer = await fetch(`${new URL(String(claims["iss"])).origin}/api/v1/session-tokens`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      session_id: id,
      principal: { type, id: name },
      scopes: scopes ?? ["session:read", "session:append"],
      ttl_seconds: ttl,
    }),
  });
  const { token, expires_in: seconds } = (await answer.json()) as { token: string; expires_in: number };
  expect(seconds).toBe(ttl);
  return token;
}

const decode = (token: string): Json =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Json;

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const endsAt = Date.now() + 10_000; !holds();) {
    if (Date.now() > endsAt) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

interface Tail {
  readonly frames: unknown[];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly socket: WebSocket;
}

async function openTail(id: string, query = "", token = key): Promise<Tail> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/sessions/${id}/tail${query}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const frames: unknown[] = [];
  socket.on("message", (data: Buffer) => frames.push(JSON.parse(data.toString())));
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  return { frames, closed, socket };
}

function phoenix(token: string): Socket {
  const socket = new Socket(`${url.replace("http", "ws")}/v1/socket`, {
    transport: WebSocket as unknown as new (endpoint: string) => object,
    params: { token },
    sessionStorage: {},
  });
  socket.connect();
  return socket;
}

function join(channel: Channel): Promise<Json> {
  return new Promise((resolve) => {
    channel
      .join()
      .receive("ok", (response: Json) => resolve({ ok: response }))
      .receive("error", (response: Json) => resolve(response));
  });
}

describe("REST", () => {
  test("POST /v1/sessions creates, makes ids, and answers 409 for one that exists", async () => {
    const made = await call("POST", "/v1/sessions", { title: "Contract", metadata: { kind: "draft" } });
    expect(made.status).toBe(201);
    expect(made.json["id"]).toMatch(/^ses_/);
    expect(made.json).toMatchObject({
      title: "Contract",
      metadata: { kind: "draft" },
      tenant_id: "acme",
      creator_principal: { tenant_id: "acme", type: "service" },
      last_seq: 0,
      archived: false,
      version: 1,
    });
    const again = await call("POST", "/v1/sessions", { id: made.json["id"] });
    expect([again.status, again.json["error"]]).toEqual([409, "session_exists"]);
  });

  test("GET /v1/sessions lists, filters and pages", async () => {
    const ids = [
      await session({ metadata: { walk: "list" } }),
      await session({ metadata: { walk: "list" } }),
    ];
    const page = await call("GET", "/v1/sessions?metadata.walk=list&limit=1");
    expect((page.json["sessions"] as Json[]).map(({ id }) => id)).toEqual([ids[0]]);
    const rest = await call(
      "GET",
      `/v1/sessions?metadata.walk=list&limit=1&cursor=${String(page.json["next_cursor"])}`,
    );
    expect((rest.json["sessions"] as Json[]).map(({ id }) => id)).toEqual([ids[1]]);
    const last = await call("GET", `/v1/sessions?metadata[walk]=list&limit=2`);
    expect(last.json["next_cursor"]).toBeNull();
    expect((await call("GET", "/v1/sessions?cursor=")).status).toBe(400);
  });

  test("GET, PATCH, archive and unarchive a session", async () => {
    const id = await session({ title: "Old", metadata: { a: 1 } });
    expect((await call("GET", `/v1/sessions/${id}`)).json["title"]).toBe("Old");
    const patched = await call("PATCH", `/v1/sessions/${id}`, {
      title: null,
      metadata: { b: 2 },
      expected_version: 1,
    });
    expect(patched.json).toMatchObject({ title: null, metadata: { a: 1, b: 2 }, version: 2 });
    const stale = await call("PATCH", `/v1/sessions/${id}`, { title: "x", expected_version: 1 });
    expect([stale.status, stale.json["current_version"]]).toEqual([409, 2]);
    for (const [verb, archived] of [
      ["archive", true],
      ["archive", true],
      ["unarchive", false],
    ] as const) {
      const { status, json } = await call("POST", `/v1/sessions/${id}/${verb}`, {});
      expect([status, json["archived"], json["version"]]).toEqual([200, archived, 2]);
    }
  });

  test("append answers the sequence; retries, gaps and conflicts follow the rules", async () => {
    const id = await session();
    expect((await append(id, event(7))).json).toEqual({
      seq: 1,
      last_seq: 1,
      deduped: false,
      cursor: 1,
      committed_cursor: 1,
    });
    expect((await append(id, event(7, { expected_seq: 99 }))).json).toMatchObject({ seq: 1, deduped: true });
    expect((await append(id, event(7, { payload: {} }))).json["error"]).toBe("producer_replay_conflict");
    expect((await append(id, event(9))).json["error"]).toBe("producer_seq_conflict");
    const conflict = await append(id, event(8, { expected_seq: 0 }));
    expect([conflict.status, conflict.json["error"], conflict.json["current_seq"]]).toEqual([
      409,
      "expected_seq_conflict",
      1,
    ]);
    const list = await append(id, { events: [event(7), event(8)], expected_seq: 1 });
    expect(list.json["results"]).toEqual([
      { seq: 1, deduped: true },
      { seq: 2, deduped: false },
    ]);
    expect((await append(id, { type: "", payload: {} })).json["error"]).toBe("invalid_event");
  });

  test("an event is read back with every member the SDK wants, and exact text", async () => {
    const id = await session();
    const payload = String.raw`{"z":1,"n":12345678901234567890,"__proto__":{},"t":"\u00e9"}`;
    await append(id, `{"type":"content","payload":${payload},"producer_id":"p","producer_seq":1}`);
    const { text, json } = await call("GET", `/v1/sessions/${id}/events`);
    expect(text).toContain(`"payload":${payload}`);
    const [read] = json["events"] as Json[];
    expect(read).toMatchObject({
      seq: 1,
      cursor: 1,
      tenant_id: "acme",
      type: "content",
      producer_id: "p",
      producer_seq: 1,
      metadata: {},
      refs: {},
      idempotency_key: null,
    });
    expect(read).not.toHaveProperty("source");
    expect(read?.["actor"]).toMatch(/^service:/);
    expect(read?.["inserted_at"]).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  test("GET …/events pages, waits, and opens a session from its end", async () => {
    const id = await session();
    await append(id, { events: [event(1), event(2), event(3)] });
    expect((await call("GET", `/v1/sessions/${id}/events?cursor=1&limit=1`)).json).toMatchObject({
      events: [{ seq: 2 }],
      next_cursor: 2,
      last_seq: 3,
    });
    expect((await call("GET", `/v1/sessions/${id}/events?before=99&limit=2`)).json).toMatchObject({
      events: [{ seq: 2 }, { seq: 3 }],
    });
    const waiting = call("GET", `/v1/sessions/${id}/events?cursor=3&wait=10`);
    await append(id, event(4));
    expect((await waiting).json).toMatchObject({ events: [{ seq: 4 }] });
    const beyond = await call("GET", `/v1/sessions/${id}/events?cursor=9`);
    expect([beyond.status, beyond.json]).toMatchObject([400, { error: "invalid_cursor", last_seq: 4 }]);
  });

  test("DELETE erases: 204, open tails end with 4004, the id is never usable again", async () => {
    const id = await session();
    await append(id, event(1));
    const tail = await openTail(id);
    expect((await call("DELETE", `/v1/sessions/${id}`)).status).toBe(204);
    expect((await tail.closed).code).toBe(4004);
    expect((await call("GET", `/v1/sessions/${id}`)).json["error"]).toBe("session_not_found");
    const again = await call("POST", "/v1/sessions", { id });
    expect([again.status, again.json["error"]]).toEqual([409, "session_deleted"]);
  });

  test("errors say code and message; 401 says how to do it; CORS lets any page in", async () => {
    const unauthorized = await call("GET", "/v1/sessions", undefined, "nonsense");
    expect(unauthorized.status).toBe(401);
    expect(unauthorized.json).toEqual({ error: "unauthorized", message: expect.any(String) as string });
    expect(unauthorized.headers.get("www-authenticate")).toBe('Bearer realm="daybook"');
    expect(unauthorized.headers.get("access-control-allow-origin")).toBe("*");
    const preflight = await fetch(`${url}/v1/sessions`, {
      method: "OPTIONS",
      headers: { origin: "https://a.example", "access-control-request-headers": "authorization" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization");
  });
});

describe("tokens", () => {
  test("the key is a JWT that clients decode: tenant_id, iss a URL, a service", () => {
    expect(decode(key)).toMatchObject({
      tenant_id: "acme",
      iss: url,
      sub: expect.stringMatching(/^service:/) as string,
    });
  });

  test("a session token is one principal's, for one session", async () => {
    const [id, other] = [await session(), await session()];
    const token = await mint(id, "user:alice");
    expect(decode(token)).toMatchObject({
      principal_type: "user",
      principal_id: "alice",
      tenant_id: "acme",
      session_id: id,
    });
    expect((await append(id, event(1), token)).status).toBe(201);
    expect((await append(id, event(2, { actor: "user:bob" }), token)).json["error"]).toBe("invalid_event");
    expect((await append(other, event(1), token)).json["error"]).toBe("forbidden_session");
    const listed = (await call("GET", "/v1/sessions?limit=1000", undefined, token)).json[
      "sessions"
    ] as Json[];
    expect(listed.map((one) => one["id"])).toEqual([id]);
    expect((await call("GET", "/v1/lifecycle", undefined, token)).json["error"]).toBe("forbidden_session");
    expect((await call("POST", "/v1/sessions", {}, token)).json["error"]).toBe("forbidden_scope");
  });

  test("revoking the key ends it, its tokens and their tails", async () => {
    const id = await session();
    const doomed = await newKey();
    const tail = await openTail(id, "", doomed);
    const jti = String(decode(doomed)["jti"]);
    await runDaybook(["keys", "revoke", jti, "--data-dir", server.dataDir]);
    expect(await tail.closed).toEqual({ code: 4001, reason: "token_invalid" });
    expect((await call("GET", "/v1/sessions", undefined, doomed)).status).toBe(401);
  });
});

describe("the raw tail", () => {
  test("replays and follows, one event a frame; batch_size makes arrays; agent filters", async () => {
    const id = await session();
    await append(id, { events: [event(1), event(2), event(3)] });
    const [plain, batched, filtered] = [
      await openTail(id, "?cursor=1"),
      await openTail(id, "?batch_size=2"),
      await openTail(id, "?agent=drafter"),
    ];
    await append(id, event(1, { producer_id: "d" }), await mint(id));
    await until(
      "all came",
      () => plain.frames.length === 3 && batched.frames.length === 3 && filtered.frames.length === 1,
    );
    expect(plain.frames).toMatchObject([{ seq: 2 }, { seq: 3 }, { seq: 4 }]);
    expect(batched.frames).toMatchObject([[{ seq: 1 }, { seq: 2 }], [{ seq: 3 }], [{ seq: 4 }]]);
    expect(filtered.frames).toMatchObject([{ seq: 4, actor: "agent:drafter" }]);
    for (const { socket } of [plain, batched, filtered]) socket.terminate();
  });

  test("takes access_token in the query, and ends with 4001 token_expired", async () => {
    const id = await session();
    const token = await mint(id, "user:alice", 1);
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/sessions/${id}/tail?access_token=${token}`);
    const code = await new Promise((resolve) =>
      socket.on("close", (status, reason) => resolve(`${status} ${reason.toString()}`)),
    );
    expect(code).toBe("4001 token_expired");
  });

  test("is server-sent events too, and goes on from Last-Event-ID", async () => {
    const id = await session();
    await append(id, { events: [event(1), event(2)] });
    const abort = new AbortController();
    const response = await fetch(`${url}/v1/sessions/${id}/tail`, {
      headers: { authorization: `Bearer ${key}`, accept: "text/event-stream", "last-event-id": "1" },
      signal: abort.signal,
    });
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      if (text.includes("id: 2")) break;
    }
    expect(text).toMatch(/id: 2\ndata: \{"tenant_id":"acme",/);
    expect(text).not.toContain("id: 1\n");
    abort.abort();
  });
});

describe("Phoenix channels", () => {
  test("tail: replays, follows, appends, says token_expired and closes", async () => {
    const id = await session();
    await append(id, { events: [event(1), event(2)] });
    const socket = phoenix(await mint(id, "user:alice", 2));
    const channel = socket.channel(`tail:${id}`, { cursor: 1, batch_size: 10, live_only: true });
    const seqs: number[] = [];
    let expired: unknown;
    let isClosed = false;
    channel.on(
      "events",
      ({ events }: { events: { seq: number }[] }) => void seqs.push(...events.map(({ seq }) => seq)),
    );
    channel.on("token_expired", (payload: unknown) => void (expired = payload));
    channel.onClose(() => void (isClosed = true));
    expect(await join(channel)).toMatchObject({ ok: { last_seq: 2 } });
    const pushed = await new Promise((resolve) =>
      channel.push("append", { event: event(3, { producer_id: "w" }) }).receive("ok", resolve),
    );
    expect(pushed).toMatchObject({ seq: 3, deduped: false });
    await until("the token has expired", () => isClosed);
    expect(seqs).toEqual([2, 3]);
    expect(expired).toEqual({ reason: "token_expired" });
    socket.disconnect();
  });

  test("joins are refused with a reason; a cursor ahead is a gap; leave is answered", async () => {
    const id = await session();
    await append(id, event(1));
    const socket = phoenix(key);
    expect(await join(socket.channel("tail:nobody"))).toEqual({ reason: "session_not_found" });
    expect(await join(socket.channel(`tail:${id}`, { cursor: "1" }))).toEqual({ reason: "invalid_cursor" });
    const channel = socket.channel(`tail:${id}`, { cursor: 50 });
    let gap: unknown;
    channel.on("gap", (payload: unknown) => void (gap = payload));
    await join(channel);
    await until("the gap came", () => gap !== undefined);
    expect(gap).toMatchObject({ type: "gap", reason: "resume_invalidated", from_cursor: 50, next_cursor: 1 });
    expect(await new Promise((resolve) => channel.leave().receive("ok", resolve))).toEqual({});
    socket.disconnect();
  });

  test("lifecycle: activated, created, updated, archived, unarchived, deleted; and replayable over HTTP", async () => {
    const socket = phoenix(key);
    const channel = socket.channel("lifecycle");
    const pushed: Json[] = [];
    channel.on("lifecycle", ({ event: item }: { event: Json }) => void pushed.push(item));
    expect(await join(channel)).toMatchObject({ ok: { cursor: expect.any(String) as string } });
    const id = await session({ title: "Watched" });
    await call("PATCH", `/v1/sessions/${id}`, { metadata: { k: 1 } });
    await call("POST", `/v1/sessions/${id}/archive`, {});
    await call("POST", `/v1/sessions/${id}/unarchive`, {});
    await call("DELETE", `/v1/sessions/${id}`);
    const mine = (): string[] =>
      pushed.filter((item) => item["session_id"] === id).map((item) => String(item["kind"]));
    await until("all came", () => mine().length === 6);
    const kinds = ["created", "updated", "archived", "unarchived", "deleted"].map(
      (kind) => `session.${kind}`,
    );
    expect(mine()).toEqual(["session.activated", ...kinds]);
    const { json } = await call("GET", "/v1/lifecycle?limit=1000");
    const replayed = (json["events"] as Json[]).filter((item) => item["session_id"] === id);
    expect(replayed.map(({ kind }) => kind)).toEqual(kinds);
    socket.disconnect();
  });
});

test("the React hook's chat events come back as they went in, unknown keys too", async () => {
  const id = await session();
  const user = {
    kind: "chat.user.message",
    message: { id: "m1", role: "user", parts: [{ type: "text", text: "Hi" }] },
    extra: [1],
  };
  const chunk = {
    kind: "chat.assistant.chunk",
    chunk: { type: "text-delta", id: "t", delta: "He" },
    later: { x: null },
  };
  await append(id, {
    events: [event(1, { type: user.kind, payload: user }), event(2, { type: chunk.kind, payload: chunk })],
  });
  const { json } = await call("GET", `/v1/sessions/${id}/events`);
  expect((json["events"] as Json[]).map(({ type, payload }) => [type, payload])).toEqual([
    [user.kind, user],
    [chunk.kind, chunk],
  ]);
});

test("the CLI: create, append as an agent and as a user with an API key, tail, list", async () => {
  const env = { DAYBOOK_BASE_URL: url, DAYBOOK_TOKEN: key };
  const created = await runDaybook(["create", "--id", "walk-cli", "--title", "From the CLI"], env);
  expect(created.stdout).toBe("walk-cli\n");
  const first = await runDaybook(
    ["append", "walk-cli", "--agent", "drafter", "--text", "Drafting clause 4.2…"],
    env,
  );
  expect([first.stdout, first.stderr]).toEqual(["seq=1 deduped=false\n", ""]);
  await runDaybook(["append", "walk-cli", "--user", "alice", "--text", "Looks good"], env);
  await runDaybook(["append", "walk-cli", "--text", "By default"], env);
  const tail = await runDaybook(["tail", "walk-cli", "--no-follow"], env);
  expect(tail.stdout.split("\n")[0]).toContain("[drafter] Drafting clause 4.2…");
  const events = await runDaybook(["tail", "walk-cli", "--no-follow", "--json"], env);
  const actors = events.stdout
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as Json)["actor"]);
  expect(actors).toEqual(["agent:drafter", "user:alice", "agent:starcite-cli"]);
  expect((await runDaybook(["sessions", "list"], env)).stdout).toContain("walk-cli");
});

test("a restart drops sockets with 1001, never 1000: older clients would not come back", async () => {
  const id = await session();
  const tail = await openTail(id);
  const socket = phoenix(key);
  let code: number | undefined;
  socket.onClose((event: { readonly code: number }) => void (code ??= event.code));
  await join(socket.channel(`tail:${id}`));
  await server.kill("SIGTERM");
  expect((await tail.closed).code).toBe(1001);
  await until("the channel socket is closed", () => code !== undefined);
  expect(code).toBe(1001);
  socket.disconnect();
});
