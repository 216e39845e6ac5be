import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { eventBody, newDataDir, startServer } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import { AuthServer } from "./support/auth-server.js";
import { ChannelSocket, channelUrl } from "./support/channel-socket.js";
import { openTail, refusedUpgrade } from "./support/tail-socket.js";

const everywhere = { host: "0.0.0.0" };

describe("--auth, left out", () => {
  test("is none on loopback", async () => {
    await using server = await startServer({ store: "memory" });
    expect((await server.call("GET", "/v1/sessions")).status).toBe(200);
  });

  test("is jwt beyond it", async () => {
    await using server = await startServer({ store: "memory", settings: everywhere });
    const url = server.url.replace("0.0.0.0", "127.0.0.1");
    expect((await fetch(`${url}/v1/sessions`)).status).toBe(401);
    expect((await refusedUpgrade(channelUrl(url, undefined))).status).toBe(403);
  });
});

describe("--auth none", () => {
  test("beyond loopback is refused, and says what would be right", async () => {
    await expect(startServer({ store: "memory", settings: { ...everywhere, auth: "none" } })).rejects.toThrow(
      "--allow-insecure",
    );
  });

  test("beyond loopback is possible when it is asked for in so many words", async () => {
    const settings = { ...everywhere, auth: "none", allowInsecure: true } as const;
    await using server = await startServer({ store: "memory", settings });
    expect((await fetch(`${server.url.replace("0.0.0.0", "127.0.0.1")}/v1/sessions`)).status).toBe(200);
  });

  test("asks for no token and looks at none, whatever is sent", async () => {
    await using server = await startServer({ store: "memory" });
    const headers = { authorization: "Basic nonsense" };
    expect((await server.call("GET", "/v1/sessions?access_token=x", undefined, { headers })).status).toBe(
      200,
    );
    const id = await server.create();
    using tail = await openTail(server.url, id, "?access_token=garbage", { headers });
    await server.append(id, eventBody(1, { actor: "user:anybody" }));
    await tail.received(1);
    expect(tail.events[0]).toMatchObject({ actor: "user:anybody", tenant_id: "default" });
    using socket = await ChannelSocket.open(server.url, { token: "garbage" });
    expect(await socket.join(`tail:${id}`, { token: "garbage" })).toBe("ok");
    expect(await socket.join("lifecycle")).toBe("ok");
  });

  test("everybody is the service default of the tenant default, and an event without an actor is its", async () => {
    await using server = await startServer({ store: "memory" });
    const { json } = await server.call("POST", "/v1/sessions", {});
    expect(json.creator_principal).toEqual({ tenant_id: "default", id: "default", type: "service" });
    await server.append(json.id, eventBody(1));
    expect((await server.events(json.id)).json.events[0]?.actor).toBe("service:default");
  });

  test("leaves no key behind with --store memory, which keeps nothing", async () => {
    const server = await startServer({ store: "memory" });
    expect(existsSync(join(server.dataDir, "keys"))).toBe(false);
    const { keys } = (await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as {
      keys: unknown[];
    };
    expect(keys).toHaveLength(1);
    await server[Symbol.asyncDispose]();
  });
});

describe("--auth jwt", () => {
  test("with --store memory has its keys in the data folder all the same: they must be made somewhere", async () => {
    await using auth = await AuthServer.start();
    const { key } = await auth.key();
    expect((await auth.as(key).call("GET", "/v1/sessions")).status).toBe(200);
  });

  test("names itself by --public-url, or by where it listens: what keys and minted tokens carry as iss", async () => {
    await using auth = await AuthServer.start({ publicUrl: "https://daybook.example.com" });
    const { key } = await auth.key();
    const minted = await auth.mint(key, "s");
    for (const token of [key, minted]) {
      const claims = Buffer.from(token.split(".")[1] ?? "", "base64url").toString();
      expect(claims).toContain('"iss":"https://daybook.example.com"');
    }
  });

  test("makes its name known before it listens: a token minted in its first moment is good", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const dataDir = await newDataDir();
    // It comes as far as the port, and no further.
    await expect(
      startServer({ store: "memory", dataDir, settings: { auth: "jwt", port } }),
    ).rejects.toThrow();
    taken.close();
    const issuers = await readFile(join(dataDir, "keys", "issuers.json"), "utf8");
    expect(JSON.parse(issuers)).toEqual({ urls: [`http://127.0.0.1:${port}`] });
    await rm(dataDir, { recursive: true, force: true });
  });

  test("shows documents and public keys to everybody, and nothing else", async () => {
    await using auth = await AuthServer.start();
    for (const path of ["/docs", "/openapi.json", "/.well-known/jwks.json"])
      expect((await fetch(auth.url + path)).status).toBe(200);
    const { components } = (await (await fetch(`${auth.url}/openapi.json`)).json()) as {
      components: unknown;
    };
    expect(components).toMatchObject({ securitySchemes: { bearer: { type: "http", scheme: "bearer" } } });
  });

  test("a token is asked for before a body is taken in", async () => {
    await using auth = await AuthServer.start();
    const { status } = await auth.server.call("POST", "/v1/sessions/s/append", "x".repeat(2_000_000));
    expect(status).toBe(401);
  });
});
