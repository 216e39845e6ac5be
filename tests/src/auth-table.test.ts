import { createHmac, createPublicKey, type JsonWebKey } from "node:crypto";
import { createApiKey, revokeApiKey } from "@daybook/server";
import { eventBody } from "@daybook/test-kit";
import { exportJWK, generateKeyPair } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { ALL_SCOPES, AuthServer, forgedToken, newId, signToken, TokenApi } from "./support/auth-server.js";
import { refusalOf, rpcsOf, StatehouseClient, struct } from "./support/statehouse-client.js";
import { channelUrl, ChannelSocket, outcomeOf } from "./support/channel-socket.js";
import { text } from "./support/conversation.js";
import { tailUrl } from "./support/tail-socket.js";

/**
 * Every way in × every kind of token. The rows are checked against the server's own list of calls: a new route without
 * a row here fails.
 */
interface Row {
  /** "GET /v1/sessions" as the OpenAPI document has it, or a way in that it does not know. */
  readonly name: string;
  /** Tries it on a session with a token; answers "ok" or the code it was refused with. */
  attempt(token: string | undefined, session: string): Promise<string>;
  /** The scope it needs. */
  readonly scope: string | undefined;
  /** What another tenant's token with all scopes gets. */
  readonly otherTenant: "session_not_found" | "conversation_not_found" | "ok";
  /** What a token for another session gets. */
  readonly otherSession: "forbidden_session" | "ok";
  /** How a token that is not good is answered. */
  readonly refused?: (code: string) => string;
  /** The first event has to be there. */
  readonly needsEvent?: boolean;
}

let auth: AuthServer;

function restRow(
  name: string,
  facts: Pick<Row, "scope" | "otherTenant" | "otherSession">,
  body?: (session: string) => unknown,
): Row {
  const [method = "", path = ""] = name.split(" ");
  return {
    name,
    ...facts,
    attempt: async (token, session) => {
      const api = token === undefined ? auth.server : new TokenApi(auth.url, token);
      const { status, json } = await api.call(
        method,
        path
          .replace("{id}", session)
          .replace("{key}", "k")
          .replace("{namespace}", "default")
          .replace("{agent}", session),
        body?.(session),
      );
      // Whoever learns that there is no such key was let in.
      return status < 300 || json.error === "state_key_not_found" ? "ok" : json.error;
    },
  };
}

const conversation = {
  otherTenant: "conversation_not_found",
  otherSession: "forbidden_session",
} as const;
/** What belongs to a tenant and to no session. */
const ofTenant = { otherTenant: "ok", otherSession: "forbidden_session" } as const;
const one = { otherTenant: "session_not_found", otherSession: "forbidden_session" } as const;

async function upgradeOutcome(url: string, headers: Record<string, string> = {}): Promise<string> {
  const socket = new WebSocket(url, { headers });
  socket.on("error", () => undefined);
  return new Promise((resolve) => {
    socket.once("open", () => {
      socket.terminate();
      resolve("ok");
    });
    socket.once("unexpected-response", (_request, response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve((JSON.parse(text) as { error: string }).error));
    });
  });
}

async function streamOutcome(path: string, token: string | undefined): Promise<string> {
  const abort = new AbortController();
  const headers = {
    accept: "text/event-stream",
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  const response = await fetch(auth.url + path, { headers, signal: abort.signal });
  const outcome = response.ok ? "ok" : ((await response.json()) as { error: string }).error;
  abort.abort();
  return outcome;
}

/** Joins with the topic's own token, on a socket whose token is good. */
async function joinOutcome(topic: string, token: string | undefined, session: string): Promise<string> {
  if (token === undefined) return upgradeOutcome(channelUrl(auth.url, undefined));
  using socket = await ChannelSocket.open(auth.url, { token: await auth.token() });
  return await socket.join(topic.replace("ID", session), { token });
}

/** Every rpc of the state service that is not for everybody, over gRPC and, for one, as Connect on the main port. */
function rpcRows(): Row[] {
  const open = ["Health", "Version"];
  const writes = ["BeginTransaction", "Write", "Delete", "Commit", "Abort"];
  return rpcsOf()
    .filter((rpc) => !open.includes(rpc))
    .flatMap((rpc) => {
      const scope = writes.includes(rpc) ? "state:write" : "state:read";
      return [
        {
          name: `gRPC ${rpc}`,
          scope,
          ...ofTenant,
          attempt: (token: string | undefined) => rpcOutcome(rpc, token),
        },
        {
          name: `Connect ${rpc}`,
          scope,
          ...ofTenant,
          attempt: (token: string | undefined) => connectOutcome(rpc, token),
        },
      ];
    });
}

async function rpcOutcome(rpc: string, token: string | undefined): Promise<string> {
  using client = new StatehouseClient(auth.server.grpcAddress, token);
  const name = rpc.charAt(0).toLowerCase() + rpc.slice(1);
  const request = { agentId: "a", key: "k", txnId: "none", value: struct({}), version: 1 };
  const call = rpc === "Replay" ? client.replayAll(request) : client.call(name, request);
  const refusal = await refusalOf(call);
  // Whoever learns that there is no such transaction was let in.
  return /^OK$|transaction_not_found/.test(refusal) ? "ok" : (refusal.split(":")[1] ?? refusal);
}

async function connectOutcome(rpc: string, token: string | undefined): Promise<string> {
  const isStream = rpc === "Replay";
  const json = JSON.stringify({ agentId: "a", key: "k", txnId: "none", value: {} });
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(json.length, 1);
  const response = await fetch(`${auth.url}/statehouse.v1.StatehouseService/${rpc}`, {
    method: "POST",
    headers: {
      "content-type": isStream ? "application/connect+json" : "application/json",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    body: isStream ? Buffer.concat([envelope, Buffer.from(json)]) : json,
  });
  const text = await response.text();
  const own = response.headers.get("daybook-error") ?? /"daybook-error":\["(\w+)"\]/.exec(text)?.[1];
  return own === undefined || own === "transaction_not_found" ? "ok" : own;
}

const ROWS: readonly Row[] = [
  restRow("GET /v1/sessions", { scope: "session:read", otherTenant: "ok", otherSession: "ok" }),
  restRow(
    "POST /v1/sessions",
    // Ids live per tenant: the other tenant creates its own.
    { scope: "session:create", otherTenant: "ok", otherSession: "forbidden_session" },
    (session) => ({ id: `${session}-new` }),
  ),
  restRow("GET /v1/sessions/{id}", { scope: "session:read", ...one }),
  restRow("PATCH /v1/sessions/{id}", { scope: "session:create", ...one }, () => ({ title: "changed" })),
  restRow("DELETE /v1/sessions/{id}", { scope: "session:create", ...one }),
  restRow("POST /v1/sessions/{id}/archive", { scope: "session:create", ...one }, () => ({})),
  restRow("POST /v1/sessions/{id}/unarchive", { scope: "session:create", ...one }, () => ({})),
  restRow("POST /v1/sessions/{id}/fork", { scope: "session:create", ...one }, (session) => ({
    id: `${session}-fork`,
  })),
  restRow("POST /v1/sessions/{id}/append", { scope: "session:append", ...one }, () => eventBody(1)),
  restRow("GET /v1/sessions/{id}/events", { scope: "session:read", ...one }),
  restRow("POST /v1/sessions/{id}/import", { scope: "session:create", ...one }, () => ({ events: [] })),
  restRow("GET /v1/sessions/{id}/state", { scope: "session:read", ...one }),
  restRow("GET /v1/sessions/{id}/state/{key}", { scope: "session:read", ...one }),
  restRow("GET /v1/sessions/{id}/state/{key}/history", { scope: "session:read", ...one }),
  restRow("GET /v1/sessions/{id}/state-diff", { scope: "session:read", ...one }),
  restRow("GET /v1/conversations/{id}", { scope: "session:read", ...conversation }),
  restRow("DELETE /v1/conversations/{id}", { scope: "session:create", ...conversation }),
  restRow("POST /v1/conversations/{id}/messages", { scope: "session:append", ...conversation }, () => ({
    message: text("user", "hello"),
  })),
  // Of a conversation that is not there these read nothing: so it is for another tenant.
  restRow("GET /v1/conversations/{id}/tail", { scope: "session:read", ...conversation, otherTenant: "ok" }),
  restRow("GET /v1/conversations/{id}/messages", {
    scope: "session:read",
    ...conversation,
    otherTenant: "ok",
  }),
  restRow("GET /v1/lifecycle", {
    scope: "session:read",
    otherTenant: "ok",
    otherSession: "forbidden_session",
  }),
  restRow(
    "POST /api/v1/session-tokens",
    // What is minted is for the other tenant's session of this id.
    { scope: "session:read", otherTenant: "ok", otherSession: "forbidden_session" },
    (session) => ({ session_id: session, principal: { type: "user", id: "u" }, scopes: ["session:read"] }),
  ),
  restRow("POST /v1/state/transactions", { scope: "state:write", ...ofTenant }, (session) => ({
    operations: [{ agent_id: session, key: "k", value: {} }],
  })),
  ...["", "/{key}", "/{key}/history", "/diff", "/replay"].map((rest) =>
    restRow(`GET /v1/state/{namespace}/{agent}${rest}`, { scope: "state:read", ...ofTenant }),
  ),
  {
    name: "GET /v1/state/{namespace}/{agent}/tail",
    scope: "state:read",
    ...ofTenant,
    attempt: (token, session) => streamOutcome(`/v1/state/default/${session}/tail`, token),
  },
  ...rpcRows(),
  {
    name: "GET /v1/sessions/{id}/tail",
    scope: "session:read",
    ...one,
    attempt: (token, session) => streamOutcome(`/v1/sessions/${session}/tail`, token),
  },
  {
    name: "server-sent lifecycle",
    scope: "session:read",
    otherTenant: "ok",
    otherSession: "forbidden_session",
    attempt: (token) => streamOutcome("/v1/lifecycle", token),
  },
  {
    name: "server-sent tail with access_token",
    scope: "session:read",
    ...one,
    attempt: (token, session) =>
      streamOutcome(
        `/v1/sessions/${session}/tail${token === undefined ? "" : `?access_token=${token}`}`,
        undefined,
      ),
  },
  {
    name: "raw tail",
    scope: "session:read",
    ...one,
    attempt: (token, session) =>
      upgradeOutcome(
        tailUrl(auth.url, session),
        token === undefined ? {} : { authorization: `Bearer ${token}` },
      ),
  },
  {
    name: "raw tail with access_token",
    scope: "session:read",
    ...one,
    attempt: (token, session) =>
      upgradeOutcome(tailUrl(auth.url, session, token === undefined ? "" : `?access_token=${token}`)),
  },
  {
    name: "channel socket",
    scope: undefined,
    otherTenant: "ok",
    otherSession: "ok",
    // At connect every bad token is a 403: that is what clients of this protocol know.
    refused: () => "forbidden",
    attempt: (token) => upgradeOutcome(channelUrl(auth.url, token)),
  },
  {
    name: "channel tail:ID",
    scope: "session:read",
    ...one,
    refused: (kind) =>
      kind === "none" ? "forbidden" : kind === "expired" ? "token_expired" : "unauthorized",
    attempt: (token, session) => joinOutcome("tail:ID", token, session),
  },
  ...["/socket/websocket", "/socket/websocket/websocket"].map((path): Row => ({
    name: `channel socket at ${path}`,
    scope: undefined,
    otherTenant: "ok",
    otherSession: "ok",
    refused: () => "forbidden",
    attempt: (token) => upgradeOutcome(channelUrl(auth.url, token).replace("/v1/socket/websocket", path)),
  })),
  {
    name: "channel conversation:ID",
    scope: "session:read",
    // A conversation that is not there can be joined: so can another tenant's, which is another one.
    otherTenant: "ok",
    otherSession: "forbidden_session",
    refused: (kind) =>
      kind === "none" ? "forbidden" : kind === "expired" ? "token_expired" : "unauthorized",
    attempt: (token, session) => joinOutcome("conversation:ID", token, session),
  },
  {
    name: "channel lifecycle",
    scope: "session:read",
    otherTenant: "ok",
    otherSession: "forbidden_session",
    refused: (kind) =>
      kind === "none" ? "forbidden" : kind === "expired" ? "token_expired" : "unauthorized",
    attempt: (token, session) => joinOutcome("lifecycle", token, session),
  },
  {
    name: "channel token push",
    scope: "session:read",
    otherTenant: "session_not_found",
    otherSession: "forbidden_session",
    refused: (kind) => (kind === "expired" ? "token_expired" : "unauthorized"),
    attempt: async (token, session) => {
      using socket = await ChannelSocket.open(auth.url, { token: await auth.token() });
      await socket.join(`tail:${session}`);
      const outcome = outcomeOf(await socket.ask(`tail:${session}`, "token", { token }));
      // The topic is joined already: it cannot become another tenant's.
      return outcome === "forbidden" ? "session_not_found" : outcome;
    },
  },
  {
    name: "channel append push",
    scope: "session:append",
    ...one,
    refused: (kind) =>
      kind === "none" ? "forbidden" : kind === "expired" ? "token_expired" : "unauthorized",
    attempt: async (token, session) => {
      if (token === undefined) return upgradeOutcome(channelUrl(auth.url, undefined));
      using socket = await ChannelSocket.open(auth.url, { token: await auth.token() });
      const joined = await socket.join(`tail:${session}`, { token });
      if (joined !== "ok") return joined;
      return outcomeOf(await socket.ask(`tail:${session}`, "append", { event: eventBody(1) }));
    },
  },
  restRow(
    "PUT /v1/conversations/{id}",
    // Ids live per tenant: the other tenant creates its own. So this row is the last.
    { scope: "session:create", otherTenant: "ok", otherSession: "forbidden_session" },
  ),
];

describe("every way in", () => {
  let shared = "";
  /** Tokens that are no good, by what is wrong with them. */
  const bad = new Map<string, string | undefined>();

  beforeAll(async () => {
    auth = await AuthServer.start();
    shared = newId("shared");
    await (await auth.service()).create({ id: shared });
    await makeBadTokens(bad);
  });
  afterAll(() => auth[Symbol.asyncDispose]());

  test("is a row here: the server has no call that is not tried", async () => {
    const { paths } = (await (await fetch(`${auth.url}/openapi.json`)).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const served = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(ROWS.map(({ name }) => name)).toEqual(expect.arrayContaining(served));
  });

  describe.each(ROWS)("$name", (row) => {
    test("refuses every token that is not good, each in the same words", async () => {
      const refused = row.refused ?? (() => "unauthorized");
      const outcomes = await Promise.all(
        [...bad].map(async ([kind, token]) => [kind, await row.attempt(token, shared)]),
      );
      expect(Object.fromEntries(outcomes)).toEqual(
        Object.fromEntries([...bad.keys()].map((kind) => [kind, refused(kind)])),
      );
    });

    test(`another tenant's token gets ${row.otherTenant}`, async () => {
      const token = await auth.token({ tenant_id: "umbrella" });
      expect(await row.attempt(token, shared)).toBe(row.otherTenant);
    });

    test(`a token for another session gets ${row.otherSession}`, async () => {
      const token = await auth.token({ session_id: "another" });
      expect(await row.attempt(token, shared)).toBe(row.otherSession);
    });

    test("a token without the scope is refused, one with only it may", async () => {
      if (row.scope === undefined) return;
      // To join is to read.
      const others = ALL_SCOPES.filter((scope) => scope !== row.scope);
      expect(await row.attempt(await auth.token({ scope: others.join(" ") }), shared)).toBe(
        "forbidden_scope",
      );
    });

    test("the right token may", async () => {
      const session = newId("right");
      await (await auth.service()).create({ id: session });
      expect(await row.attempt(await auth.token(), session)).toBe("ok");
      if (row.otherSession === "ok") return;
      // A lock on the very session is none; the lifecycle of all and a session that is not this one stay shut.
      const locked = await row.attempt(await auth.token({ session_id: session }), session);
      const isAboutAll =
        /lifecycle|^POST \/v1\/sessions$|fork$/.test(row.name) || row.scope?.startsWith("state:") === true;
      if (isAboutAll) expect(locked).toBe("forbidden_session");
      // What the first attempt deleted or wrote is not there, or there already.
      else expect(["ok", "session_not_found", "producer_replay_conflict"]).toContain(locked);
    });
  });

  test("after all these refusals the session is as it was", async () => {
    const api = await auth.service();
    const { json } = await api.call("GET", `/v1/sessions/${shared}`);
    expect(json).toMatchObject({ title: null, last_seq: 0, archived: false, version: 1 });
    for (const made of [`${shared}-new`, `${shared}-fork`])
      expect((await api.call("GET", `/v1/sessions/${made}`)).status).toBe(404);
  });
});

async function makeBadTokens(bad: Map<string, string | undefined>): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const good = await auth.token();
  const [head = "", claims = "", signature = ""] = good.split(".");
  const { key: revoked, file } = await createApiKey(auth.dataDir, { tenant: "acme" });
  await revokeApiKey(auth.dataDir, file.id);
  const ring = { kid: auth.signing.kid, alg: "EdDSA" };
  const other = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  const otherKey = { privateJwk: await exportJWK(other.privateKey) };
  const publicPem = createPublicKey({ key: auth.signing.publicJwk as JsonWebKey, format: "jwk" }).export({
    type: "spki",
    format: "pem",
  });
  const hs256 = forgedToken({ alg: "HS256", kid: ring.kid }, auth.claims()).slice(0, -1);
  const hmac = createHmac("sha256", publicPem).update(hs256).digest("base64url");
  const entries: [string, string | undefined][] = [
    ["none", undefined],
    ["garbage", "garbage"],
    ["three garbage parts", "a.b.c"],
    ["expired", await auth.token({ exp: now - 5 })],
    ["not yet valid", await auth.token({ nbf: now + 3_600 })],
    ["wrong audience", await auth.token({ aud: "somebody-else" })],
    ["no audience", await auth.token({ aud: undefined })],
    ["wrong issuer", await auth.token({ iss: "https://elsewhere.example" })],
    ["no issuer", await auth.token({ iss: undefined })],
    ["no end", await auth.token({ exp: undefined })],
    ["unknown kid", await signToken(otherKey, auth.claims(), { kid: "unknown", alg: "EdDSA" })],
    ["another key under our kid", await signToken(otherKey, auth.claims(), ring)],
    ["no kid", await signToken(auth.signing, auth.claims(), { alg: "EdDSA" })],
    ["a kid that is no text", forgedToken({ alg: "EdDSA", kid: 7 }, auth.claims(), signature)],
    ["sub without colon", await auth.token({ sub: "backend" })],
    ["sub without id", await auth.token({ sub: "service:" })],
    ["sub of an unknown type", await auth.token({ sub: "robot:r2" })],
    ["sub of a prototype's type", await auth.token({ sub: "constructor:x" })],
    ["no sub", await auth.token({ sub: undefined })],
    ["no tenant", await auth.token({ tenant_id: undefined })],
    ["a tenant that is no id", await auth.token({ tenant_id: "a/b" })],
    ["no scope", await auth.token({ scope: undefined })],
    ["an empty scope", await auth.token({ scope: " " })],
    [
      "tampered claims",
      `${head}.${forgedToken({}, auth.claims({ tenant_id: "umbrella" })).split(".")[1] ?? ""}.${signature}`,
    ],
    ["tampered signature", `${head}.${claims}.${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`],
    ["cut signature", `${head}.${claims}.`],
    ["alg none", forgedToken({ alg: "none", kid: ring.kid }, auth.claims())],
    ["HS256 with the public key", `${hs256}.${hmac}`],
    ["revoked", revoked],
    ["oversized", await auth.token({ padding: "x".repeat(9_000) })],
  ];
  for (const [kind, token] of entries) bad.set(kind, token);
}
