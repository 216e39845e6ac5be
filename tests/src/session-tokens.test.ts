import { eventBody, eventually, startServer } from "@daybook/test-kit";
import { createSessionToken } from "@daybook/server";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { runDaybook } from "./support/run-daybook.js";
import { refusedUpgrade, tailUrl } from "./support/tail-socket.js";

let auth: AuthServer;
let key = "";
let api: TokenApi;
beforeAll(async () => {
  auth = await AuthServer.start();
  ({ key } = await auth.key({ name: "backend" }));
  api = auth.as(key);
});
afterAll(() => auth[Symbol.asyncDispose]());

const body = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  session_id: "ses_1",
  principal: { type: "agent", id: "drafter" },
  scopes: ["session:read", "session:append"],
  ...more,
});
const mint = (more: Record<string, unknown> = {}, as = api): ReturnType<TokenApi["call"]> =>
  as.call("POST", "/api/v1/session-tokens", body(more));

describe("POST /api/v1/session-tokens", () => {
  test("answers a token and for how many seconds it is good, an hour by default", async () => {
    const { status, json, headers } = await mint();
    expect(status).toBe(200);
    expect(Object.keys(json)).toEqual(["token", "expires_in"]);
    expect(json).toMatchObject({ expires_in: 3600 });
    expect(headers.get("cache-control")).toBe("no-store");
  });

  test("the token carries what clients look for: principal_id and principal_type, tenant_id, session_id, sub", async () => {
    const claims = decodeJwt(await auth.mint(key, "ses_1", { as: "user:alice", scopes: ["session:read"] }));
    expect(claims).toMatchObject({
      iss: auth.url,
      tenant_id: "acme",
      sub: "user:alice",
      principal_type: "user",
      principal_id: "alice",
      session_id: "ses_1",
      scope: "session:read",
      scopes: ["session:read"],
    });
  });

  test("ttl_seconds is kept, and never goes beyond the key's own end", async () => {
    expect((await mint({ ttl_seconds: 7 })).json).toMatchObject({ expires_in: 7 });
    const { key: short } = await auth.key({ ttlSeconds: 20 });
    const { json } = await mint({ ttl_seconds: 3600 }, auth.as(short));
    const { token, expires_in: seconds } = json as unknown as { token: string; expires_in: number };
    expect(seconds).toBeLessThanOrEqual(20);
    expect(decodeJwt(token).exp).toBe(decodeJwt(short).exp);
  });

  test.each([
    [{ session_id: undefined }, "invalid_request"],
    [{ session_id: "a/b" }, "invalid_session_id"],
    [{ session_id: "" }, "invalid_session_id"],
    [{ session_id: 5 }, "invalid_request"],
    [{ principal: { type: "service", id: "x" } }, "invalid_request"],
    [{ principal: { type: "agent" } }, "invalid_request"],
    [{ principal: { type: "agent", id: "" } }, "invalid_request"],
    [{ principal: { type: "agent", id: "a\nb" } }, "invalid_request"],
    [{ principal: { type: "agent", id: "x".repeat(256) } }, "invalid_request"],
    [{ principal: "agent:drafter" }, "invalid_request"],
    [{ scopes: [] }, "invalid_request"],
    [{ scopes: ["session:create"] }, "invalid_request"],
    [{ scopes: ["session:read", "all"] }, "invalid_request"],
    [{ scopes: "session:read" }, "invalid_request"],
    [{ ttl_seconds: 0 }, "invalid_request"],
    [{ ttl_seconds: -5 }, "invalid_request"],
    [{ ttl_seconds: 1.5 }, "invalid_request"],
    [{ ttl_seconds: "60" }, "invalid_request"],
    [{ ttl_seconds: 7 * 24 * 3600 + 1 }, "invalid_request"],
  ])("%j is refused with 400 %s", async (more, code) => {
    const { status, json } = await mint(more);
    expect([status, json.error]).toEqual([400, code]);
  });

  test("a body that is no JSON, or holds a member twice, is 400", async () => {
    for (const text of ["{", "[]", "null", `{"session_id":"a",${JSON.stringify(body()).slice(1)}`])
      expect((await api.call("POST", "/api/v1/session-tokens", text)).status).toBe(400);
  });

  test("a body of megabytes is 413", async () => {
    expect((await mint({ padding: "x".repeat(100_000) })).status).toBe(413);
  });

  test("only a service mints: a user's or an agent's token is forbidden", async () => {
    for (const sub of ["user:alice", "agent:a"]) {
      const { status, json } = await mint({}, auth.as(await auth.token({ sub })));
      expect([status, json.error]).toEqual([403, "forbidden"]);
    }
    for (const sub of ["svc:s", "org:o"])
      expect((await mint({}, auth.as(await auth.token({ sub })))).status).toBe(200);
  });

  test("scopes are never wider than the key's own", async () => {
    const { key: reader } = await auth.key({ scopes: ["session:read"] });
    expect((await mint({}, auth.as(reader))).json.error).toBe("forbidden_scope");
    expect((await mint({ scopes: ["session:read"] }, auth.as(reader))).status).toBe(200);
  });

  test("a service that is tied to a session mints for that one only", async () => {
    const locked = auth.as(await auth.token({ session_id: "mine" }));
    expect((await mint({ session_id: "other" }, locked)).json.error).toBe("forbidden_session");
    expect((await mint({ session_id: "mine" }, locked)).status).toBe(200);
  });

  test("is served with auth off too: clients insist on it", async () => {
    await using open = await startServer({ store: "memory" });
    const { status, json } = await open.call("POST", "/api/v1/session-tokens", body());
    expect(status).toBe(200);
    const { token } = json as unknown as { token: string };
    const claims = decodeJwt(token);
    expect(claims).toMatchObject({ tenant_id: "default", sub: "agent:drafter", iss: open.url });
  });
});

describe("a session token", () => {
  test("reads and appends in its session, as its principal", async () => {
    const id = await api.create({ id: newId() });
    const mine = auth.as(await auth.mint(key, id, { as: "agent:drafter:v2" }));
    expect((await mine.append(id, eventBody(1))).status).toBe(201);
    // Only the first colon parts type and id.
    expect((await mine.events(id)).json.events[0]?.actor).toBe("agent:drafter:v2");
  });

  test("an event that names another actor is 400 invalid_event; its own is fine", async () => {
    const id = await api.create({ id: newId() });
    const mine = auth.as(await auth.mint(key, id));
    const other = await mine.append(id, eventBody(1, { actor: "user:alice" }));
    expect([other.status, other.json.error]).toEqual([400, "invalid_event"]);
    expect((await mine.append(id, eventBody(1, { actor: "agent:drafter" }))).status).toBe(201);
  });

  test("of an id with colons and slashes is the principal all the same", async () => {
    const id = await api.create({ id: newId() });
    const { json } = await mint({ session_id: id, principal: { type: "user", id: "https://idp/u:7" } });
    const { token } = json as unknown as { token: string };
    await auth.as(token).append(id, eventBody(1));
    expect((await api.events(id)).json.events[0]?.actor).toBe("user:https://idp/u:7");
  });

  test("sees one session in the list, with filters, and nothing of another", async () => {
    const [id, other] = [
      await api.create({ id: newId(), metadata: { k: "v" } }),
      await api.create({ id: newId() }),
    ];
    const mine = auth.as(await auth.mint(key, id));
    const list = async (query = ""): Promise<string[]> =>
      (await mine.call("GET", `/v1/sessions${query}`)).json.sessions.map((session) => session.id);
    expect(await list()).toEqual([id]);
    expect(await list("?metadata.k=v")).toEqual([id]);
    expect(await list("?metadata.k=w")).toEqual([]);
    expect(await list("?archived=true")).toEqual([]);
    expect((await mine.call("GET", `/v1/sessions/${other}`)).json.error).toBe("forbidden_session");
    expect((await mine.call("GET", "/v1/sessions/never-was")).json.error).toBe("forbidden_session");
  });

  test("may not create, change, archive or delete; a locked token that may create makes its own id only", async () => {
    const id = await api.create({ id: newId() });
    const mine = auth.as(await auth.mint(key, id));
    expect((await mine.call("POST", "/v1/sessions", { id })).json.error).toBe("forbidden_scope");
    expect((await mine.call("DELETE", `/v1/sessions/${id}`)).json.error).toBe("forbidden_scope");
    const own = newId();
    const locked = auth.as(await auth.token({ session_id: own }));
    expect((await locked.call("POST", "/v1/sessions", { id: newId() })).json.error).toBe("forbidden_session");
    expect((await locked.call("POST", "/v1/sessions", {})).json.error).toBe("forbidden_session");
    expect((await locked.call("POST", "/v1/sessions", { id: own })).status).toBe(201);
    expect((await locked.call("POST", "/v1/sessions", { id: own })).json.error).toBe("session_exists");
  });

  test("the creator of a session is the token's principal, whatever the body says", async () => {
    const creator = auth.as(await auth.token({ sub: "user:alice" }));
    const { json } = await creator.call("POST", "/v1/sessions", {
      creator_principal: { tenant_id: "umbrella", id: "mallory", type: "service" },
    });
    expect(json.creator_principal).toEqual({ tenant_id: "acme", id: "alice", type: "user" });
  });

  test("scope and scopes are merged", async () => {
    const both = auth.as(await auth.token({ scope: "session:read", scopes: ["session:create", 7, null] }));
    expect((await both.call("POST", "/v1/sessions", {})).status).toBe(201);
    expect((await both.call("GET", "/v1/sessions")).status).toBe(200);
  });

  test("aud may be a list that holds ours", async () => {
    const api2 = auth.as(await auth.token({ aud: ["somebody", "daybook"] }));
    expect((await api2.call("GET", "/v1/sessions")).status).toBe(200);
  });

  test("of `daybook token` is as good, and ends by itself", async () => {
    const id = await api.create({ id: newId() });
    const { token, expiresIn } = await createSessionToken(auth.dataDir, {
      tenant: "acme",
      session: id,
      principal: { type: "agent", id: "cli" },
      ttlSeconds: 1,
    });
    expect(expiresIn).toBe(1);
    expect((await auth.as(token).append(id, eventBody(1))).status).toBe(201);
    await eventually("it has ended", async () => (await auth.as(token).events(id)).status === 401);
  });

  test.each([
    { session: "a/b" },
    { tenant: "" },
    { principal: { type: "service", id: "x" } },
    { scopes: ["session:create"] },
    { ttlSeconds: 8 * 24 * 3600 },
  ])("cannot be made by `daybook token` with %j", async (more) => {
    const good = { tenant: "acme", session: "s", principal: { type: "agent", id: "a" } };
    await expect(createSessionToken(auth.dataDir, { ...good, ...more })).rejects.toThrow();
  });
});

describe("times in a token", () => {
  const outcome = async (claims: Record<string, unknown>): Promise<number> =>
    (await auth.as(await auth.token(claims)).call("GET", "/v1/sessions")).status;

  test("nbf and exp have a second of leeway and no more", async () => {
    const now = Math.floor(Date.now() / 1000);
    expect(await outcome({ nbf: now + 1 })).toBe(200);
    expect(await outcome({ nbf: now + 30 })).toBe(401);
    expect(await outcome({ exp: now - 3 })).toBe(401);
  });

  test("iat says when it was made, and keeps nobody out", async () => {
    expect(await outcome({ iat: undefined })).toBe(200);
    expect(await outcome({ iat: Math.floor(Date.now() / 1000) - 1_000_000 })).toBe(200);
  });
});

describe("tokens in the wrong place", () => {
  const list = async (query: string, headers: Record<string, string>): Promise<string> => {
    const { status, json } = await auth.server.call("GET", `/v1/sessions${query}`, undefined, { headers });
    return `${status} ${json.error}`;
  };

  test.each([
    ["as access_token on a call that is no tail", () => list(`?access_token=${key}`, {})],
    ["in the header and the query", () => list(`?access_token=${key}`, { authorization: `Bearer ${key}` })],
    ["as Basic", () => list("", { authorization: `Basic ${key}` })],
    ["without a kind", () => list("", { authorization: key })],
    ["behind an empty Bearer", () => list("", { authorization: "Bearer " })],
    ["twice in one header", () => list("", { authorization: `Bearer ${key}, Bearer ${key}` })],
    ["in a cookie", () => list("", { cookie: `token=${key}` })],
    ["in another header", () => list("", { "x-api-key": key })],
  ])("%s: 401, and the answer does not repeat it", async (_where, outcome) => {
    expect(await outcome()).toBe("401 unauthorized");
  });

  test("in the header and the query of a tail: it could speak for two callers", async () => {
    const id = await api.create({ id: newId() });
    const headers = { authorization: `Bearer ${key}` };
    const refusal = await refusedUpgrade(tailUrl(auth.url, id, `?access_token=${key}`), { headers });
    expect([refusal.status, refusal.json["error"]]).toEqual([401, "unauthorized"]);
    const twice = await refusedUpgrade(tailUrl(auth.url, id, `?access_token=${key}&access_token=${key}`));
    expect([twice.status, twice.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="daybook"']);
  });

  test("the kind is read without regard to case", async () => {
    expect(await list("", { authorization: `bearer ${key}` })).toBe("200 undefined");
  });

  test("a 401 says how to do it: WWW-Authenticate", async () => {
    const { headers } = await auth.server.call("GET", "/v1/sessions");
    expect(headers.get("www-authenticate")).toBe('Bearer realm="daybook"');
  });
});

test("daybook exec runs nothing as an actor that its token does not speak for", async () => {
  const id = await api.create({ id: newId() });
  const token = await auth.mint(key, id, { as: "agent:drafter" });
  const exec = (actor: string): ReturnType<typeof runDaybook> =>
    runDaybook(["exec", id, "-u", auth.url, "-k", token, "--as", actor, "--", "echo", "ran"]);
  const refused = await exec("agent:other");
  expect([refused.code, refused.stdout]).toEqual([3, ""]);
  expect(refused.stderr).toContain("agent:drafter");
  expect((await api.call("GET", `/v1/sessions/${id}/events`)).json.events).toEqual([]);
  expect(await exec("agent:drafter")).toMatchObject({ code: 0, stdout: "ran\n" });
});
