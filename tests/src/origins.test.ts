import { describe, expect, test } from "vitest";
import { startServer, type TestServer } from "@daybook/test-kit";
import { parseAnswer, rawRequest, requestText } from "./support/raw-http.js";
import { openTail, refusedUpgrade, tailUrl } from "./support/tail-socket.js";

const FOREIGN = "https://evil.example";

/** Without auth only this machine may call: neither a web page nor a name that was rebound to it gets through. */
describe("who may call without auth", () => {
  const get = (server: TestServer, headers: Record<string, string>, path = "/v1/sessions") =>
    server.call("GET", path, undefined, { headers });

  test.each([FOREIGN, "http://localhost.evil.example", "http://127.0.0.1.evil.example", "null", "nonsense"])(
    "a page of %s is refused on every call, and nothing is done",
    async (origin) => {
      await using server = await startServer({ store: "memory" });
      const { status, json, headers } = await get(server, { origin });
      expect([status, json.error]).toEqual([403, "forbidden_origin"]);
      expect(headers.get("access-control-allow-origin")).toBeNull();
      const created = await server.call("POST", "/v1/sessions", { id: "x" }, { headers: { origin } });
      expect(created.status).toBe(403);
      expect((await server.call("GET", "/v1/sessions/x")).status).toBe(404);
      const preflight = await server.call("OPTIONS", "/v1/sessions", undefined, { headers: { origin } });
      expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([403, null]);
    },
  );

  test.each(["http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]:8080", "http://app.localhost"])(
    "a page of %s, on this machine, may call",
    async (origin) => {
      await using server = await startServer({ store: "memory" });
      const { status, headers } = await get(server, { origin });
      expect(status).toBe(200);
      expect(headers.get("access-control-allow-origin")).toBe(origin);
      expect(headers.get("access-control-expose-headers")).toBe("*");
      expect(headers.get("access-control-allow-credentials")).toBeNull();
      expect(headers.get("vary")).toContain("origin");
    },
  );

  test("an upgrade of a foreign page is refused, of one on this machine it is not", async () => {
    await using server = await startServer({ store: "memory" });
    const id = await server.create();
    const refused = await refusedUpgrade(tailUrl(server.url, id), { headers: { origin: FOREIGN } });
    expect([refused.status, refused.json.error]).toEqual([403, "forbidden_origin"]);
    using tail = await openTail(server.url, id, "", { headers: { origin: "http://localhost:3000" } });
    expect(tail.frames).toEqual([]);
  });

  test("an origin that is allowed by name may call, others still may not", async () => {
    const settings = { allowOrigin: ["https://app.example"] };
    await using server = await startServer({ store: "memory", settings });
    const id = await server.create();
    const allowed = { origin: "https://app.example" };
    expect((await get(server, allowed)).headers.get("access-control-allow-origin")).toBe(
      "https://app.example",
    );
    expect(
      (await get(server, allowed, "/v1/sessions/nobody")).headers.get("access-control-allow-origin"),
    ).toBe("https://app.example");
    expect((await get(server, { origin: FOREIGN })).status).toBe(403);
    expect((await get(server, { origin: "http://app.example" })).status).toBe(403);
    using tail = await openTail(server.url, id, "", { headers: allowed });
    expect(tail.frames).toEqual([]);
    expect((await refusedUpgrade(tailUrl(server.url, id), { headers: { origin: FOREIGN } })).status).toBe(
      403,
    );
  });

  test("with * any page may call", async () => {
    await using server = await startServer({ store: "memory", settings: { allowOrigin: ["*"] } });
    const { status, headers } = await get(server, { origin: FOREIGN });
    expect([status, headers.get("access-control-allow-origin")]).toEqual([200, "*"]);
  });

  test("a preflight answers 204 with all methods and the headers that were asked for", async () => {
    await using server = await startServer({ store: "memory", settings: { allowOrigin: [FOREIGN] } });
    for (const path of ["/v1/sessions", "/v1/sessions/any/append", "/nowhere"]) {
      const { status, headers, text } = await server.call("OPTIONS", path, undefined, {
        headers: {
          origin: FOREIGN,
          "access-control-request-method": "PATCH",
          "access-control-request-headers": "authorization, content-type, x-custom",
        },
      });
      expect([status, text]).toEqual([204, ""]);
      expect(headers.get("access-control-allow-origin")).toBe(FOREIGN);
      expect(headers.get("access-control-allow-headers")).toBe("authorization, content-type, x-custom");
      const methods = headers.get("access-control-allow-methods")?.split(", ");
      expect(methods).toEqual(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
    }
  });

  test.each([
    ["evil.example", 403],
    ["localhost.evil.example", 403],
    ["127.0.0.1.evil.example:80", 403],
    ["10.0.0.1", 403],
    ["0.0.0.0", 403],
    ["", 403],
    ["localhost", 200],
    ["LOCALHOST:4000", 200],
    ["127.0.0.1", 200],
    ["127.9.9.9:1", 200],
    ["[::1]:4000", 200],
    ["daybook.localhost", 200],
  ])("Host %j: %i", async (host, status) => {
    await using server = await startServer({ store: "memory" });
    const text = requestText(server.url, { line: "GET /v1/sessions", headers: { host } });
    const answer = await rawRequest(server.url, text);
    expect(answer.status).toBe(status);
    if (status === 403) expect((JSON.parse(answer.body) as { error: string }).error).toBe("forbidden_origin");
  });

  test("a rebound name cannot open a socket either", async () => {
    await using server = await startServer({ store: "memory" });
    const id = await server.create();
    const refused = await refusedUpgrade(tailUrl(server.url, id), { headers: { host: "evil.example" } });
    expect([refused.status, refused.json.error]).toEqual([403, "forbidden_origin"]);
  });

  test("it listens on loopback only, and says no to any other address", async () => {
    await expect(startServer({ settings: { host: "0.0.0.0", auth: "none" } })).rejects.toThrow(
      /--auth|loopback|this machine/,
    );
  });

  test("an answer that could not be parsed as a request carries no permission for pages", async () => {
    await using server = await startServer({ store: "memory" });
    const { head } = parseAnswer((await rawRequest(server.url, "nonsense\r\n\r\n")).head);
    expect(head.toLowerCase()).not.toContain("access-control");
  });
});
