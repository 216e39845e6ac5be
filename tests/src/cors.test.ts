import { once } from "node:events";
import { createServer } from "node:http";
import { eventBody, startServer, within } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { channelUrl } from "./support/channel-socket.js";
import { rawRequest, requestText } from "./support/raw-http.js";
import { refusedUpgrade, tailUrl } from "./support/tail-socket.js";

const PAGE = "https://app.example.com";

let auth: AuthServer;
let api: TokenApi;
beforeAll(async () => {
  auth = await AuthServer.start();
  api = await auth.service();
});
afterAll(() => auth[Symbol.asyncDispose]());

async function opens(url: string, origin: string, headers: Record<string, string> = {}): Promise<void> {
  const socket = new WebSocket(url, { origin, headers });
  await within("a socket opens", once(socket, "open"));
  socket.terminate();
}

describe("with auth on, any page may call", () => {
  test.each(["/v1/sessions", "/v1/sessions/x/append", "/v1/nowhere", "/api/v1/session-tokens"])(
    "a preflight of %s answers 204 before auth, with what was asked for",
    async (path) => {
      const answer = await fetch(auth.url + path, {
        method: "OPTIONS",
        headers: {
          origin: PAGE,
          "access-control-request-method": "PATCH",
          "access-control-request-headers": "authorization, content-type, x-anything",
        },
      });
      expect(answer.status).toBe(204);
      expect(answer.headers.get("access-control-allow-origin")).toBe("*");
      expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
      expect(answer.headers.get("access-control-allow-methods")).toBe(
        "GET, POST, PUT, PATCH, DELETE, OPTIONS",
      );
      expect(answer.headers.get("access-control-allow-headers")).toBe(
        "authorization, content-type, x-anything",
      );
      expect(await answer.text()).toBe("");
    },
  );

  test("answers carry the headers: good ones, 401, 403, 404, 405, 413 and 429-to-be alike", async () => {
    const headers = { origin: PAGE };
    const id = await api.create({ id: newId() });
    const reader = auth.as(await auth.token({ scope: "session:read" }));
    const answers = [
      await api.call("GET", "/v1/sessions", undefined, { headers }),
      await auth.server.call("GET", "/v1/sessions", undefined, { headers }),
      await reader.call("POST", `/v1/sessions/${id}/append`, eventBody(1), { headers }),
      await api.call("GET", "/v1/sessions/nobody", undefined, { headers }),
      await api.call("PUT", "/v1/sessions", undefined, { headers }),
      await api.call("POST", "/v1/sessions", { title: "x".repeat(600_000) }, { headers }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 401, 403, 404, 405, 413]);
    for (const answer of answers) {
      expect(answer.headers.get("access-control-allow-origin")).toBe("*");
      expect(answer.headers.get("access-control-expose-headers")).toBe("*");
      expect(answer.headers.get("access-control-allow-credentials")).toBeNull();
    }
  });

  test("server-sent events carry them too", async () => {
    const id = await api.create({ id: newId() });
    const abort = new AbortController();
    const headers = { origin: PAGE, accept: "text/event-stream", authorization: `Bearer ${api.token}` };
    const answer = await fetch(`${auth.url}/v1/sessions/${id}/tail`, { headers, signal: abort.signal });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    abort.abort();
  });

  test("WebSocket upgrades accept any Origin, null too", async () => {
    const id = await api.create({ id: newId() });
    for (const origin of [PAGE, "http://localhost:3000", "null", "capacitor://app"]) {
      await opens(channelUrl(auth.url, api.token), origin);
      await opens(tailUrl(auth.url, id, `?access_token=${api.token}`), origin);
    }
  });

  test("any Host will do: a proxy in front has names of its own", async () => {
    const headers = { host: "daybook.example.com", authorization: `Bearer ${api.token}` };
    const { status } = await rawRequest(
      auth.url,
      requestText(auth.url, { line: "GET /v1/sessions", headers }),
    );
    expect(status).toBe(200);
  });
});

describe("--allow-origin", () => {
  test("takes a list: those pages may, others may not, sockets alike; who is no page may", async () => {
    await using server = await AuthServer.start({ allowOrigin: [PAGE, "http://localhost:3000"] });
    const mine = await server.service();
    const id = await mine.create({ id: newId() });
    const call = async (origin?: string): Promise<[number, string | null]> => {
      const headers = origin === undefined ? {} : { origin };
      const { status, headers: got } = await mine.call("GET", "/v1/sessions", undefined, { headers });
      return [status, got.get("access-control-allow-origin")];
    };
    expect(await call(PAGE)).toEqual([200, PAGE]);
    expect(await call("http://localhost:3000")).toEqual([200, "http://localhost:3000"]);
    expect(await call("https://evil.example")).toEqual([403, null]);
    expect(await call("http://localhost:4444")).toEqual([403, null]);
    expect(await call()).toEqual([200, null]);
    const unauthorized = await server.server.call("GET", "/v1/sessions", undefined, {
      headers: { origin: PAGE },
    });
    expect([unauthorized.status, unauthorized.headers.get("access-control-allow-origin")]).toEqual([
      401,
      PAGE,
    ]);
    expect(unauthorized.headers.get("vary")).toBe("origin");
    await opens(channelUrl(server.url, mine.token), PAGE);
    const evil = { headers: { origin: "https://evil.example" } };
    expect((await refusedUpgrade(channelUrl(server.url, mine.token), evil)).status).toBe(403);
    expect((await refusedUpgrade(tailUrl(server.url, id, `?access_token=${mine.token}`), evil)).status).toBe(
      403,
    );
  });

  test("with auth off lets a page of the internet in, which else is refused", async () => {
    const headers = { origin: PAGE };
    await using closed = await startServer({ store: "memory" });
    expect((await closed.call("GET", "/v1/sessions", undefined, { headers })).json.error).toBe(
      "forbidden_origin",
    );
    await using open = await startServer({ store: "memory", settings: { allowOrigin: [PAGE] } });
    expect((await open.call("GET", "/v1/sessions", undefined, { headers })).status).toBe(200);
  });
});

describe("security headers", () => {
  const expectThem = (headers: Headers): void => {
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cache-control")).toBe("no-store");
  };

  test("are on every answer: good, refused, unknown, preflight, documents", async () => {
    const id = await api.create({ id: newId() });
    for (const answer of [
      await api.call("GET", "/v1/sessions"),
      await api.call("POST", `/v1/sessions/${id}/append`, eventBody(1)),
      await api.call("DELETE", `/v1/sessions/${id}`),
      await auth.server.call("GET", "/v1/sessions"),
      await api.call("GET", "/v1/nowhere"),
      await api.call("OPTIONS", "/v1/sessions"),
      await api.call("GET", "/docs"),
      await api.call("GET", "/openapi.json"),
    ])
      expectThem(answer.headers);
  });

  test("are on what is answered before there is a request: oversize headers and refused upgrades", async () => {
    const headers = { "x-large": "x".repeat(20_000) };
    const { status, head, body } = await rawRequest(
      auth.url,
      requestText(auth.url, { line: "GET /v1/sessions", headers }),
    );
    expect(status).toBe(431);
    expect(JSON.parse(body)).toMatchObject({ error: "headers_too_large" });
    expect(head).toContain("x-content-type-options: nosniff");
    const refusal = await refusedUpgrade(channelUrl(auth.url, "bad"));
    expect(refusal.headers).toMatchObject({
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    });
  });

  test("a token of the largest size that headers hold is refused in words, not by a broken connection", async () => {
    const headers = { authorization: `Bearer ${"x".repeat(12_000)}` };
    const { status, json } = await auth.server.call("GET", "/v1/sessions", undefined, { headers });
    expect([status, json.message]).toEqual([401, "The token is too long."]);
  });

  test("two Authorization headers are refused: they could speak for two callers", async () => {
    const lines = `GET /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${api.token}\r\nAuthorization: Bearer other\r\n\r\n`;
    const { status, body } = await rawRequest(auth.url, lines);
    expect([status, (JSON.parse(body) as { message: string }).message]).toEqual([
      401,
      "Send one Authorization header.",
    ]);
  });
});

describe("the ops listener", () => {
  test("answers to names of this machine only: a page cannot rebind its own name to it", async () => {
    const ask = async (host: string): Promise<number> =>
      (await rawRequest(auth.opsUrl, requestText(auth.opsUrl, { line: "GET /metrics", headers: { host } })))
        .status;
    expect(await ask("localhost:4001")).toBe(200);
    expect(await ask("127.0.0.1")).toBe(200);
    expect(await ask("[::1]:4001")).toBe(200);
    expect(await ask("evil.example")).toBe(403);
    expect(await ask("evil.example:4001")).toBe(403);
    expect(await ask("localhost.evil.example")).toBe(403);
  });
});

test("a port that is taken is said, and leaves no key folder half made", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await expect(startServer({ store: "memory", settings: { port } })).rejects.toThrow("EADDRINUSE");
  taken.close();
});
