import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createApiKey, listApiKeys, revokeApiKey, rotateKeys } from "@daybook/server";
import { eventBody, eventually, newDataDir, within } from "@daybook/test-kit";
import { decodeJwt, decodeProtectedHeader, type JSONWebKeySet } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ALL_SCOPES, AuthServer, newId, signingKeyOf } from "./support/auth-server.js";
import { EventStream } from "./support/event-stream.js";
import { PhoenixClient } from "./support/phoenix-client.js";
import { runDaybook } from "./support/run-daybook.js";
import { openTail } from "./support/tail-socket.js";

let auth: AuthServer;
beforeAll(async () => (auth = await AuthServer.start()));
afterAll(() => auth[Symbol.asyncDispose]());

const get = async (token: string, server = auth): Promise<number> =>
  (await server.as(token).call("GET", "/v1/sessions")).status;

const jwks = async (server = auth): Promise<JSONWebKeySet> =>
  (await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;

describe("an API key", () => {
  test("is a JWT of a service that clients can read: iss a URL, tenant_id, sub, aud, scopes, exp a year on", async () => {
    const { key, id } = await auth.key({ name: "backend" });
    const year = 365 * 24 * 3600;
    const claims = decodeJwt(key);
    expect(claims).toMatchObject({
      iss: auth.url,
      aud: "daybook",
      sub: "service:backend",
      tenant_id: "acme",
      jti: id,
      scope: ALL_SCOPES.join(" "),
      scopes: ALL_SCOPES,
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(year);
    expect(decodeProtectedHeader(key)).toEqual({ alg: "EdDSA", typ: "JWT", kid: auth.signing.kid });
  });

  test("works on a running server at once, however new it is", async () => {
    for (let round = 0; round < 5; round++) expect(await get((await auth.key()).key)).toBe(200);
  });

  test("has no more scopes than it was given", async () => {
    const api = auth.as((await auth.key({ scopes: ["session:read"] })).key);
    expect((await api.call("GET", "/v1/sessions")).status).toBe(200);
    expect((await api.call("POST", "/v1/sessions", {})).json.error).toBe("forbidden_scope");
  });

  test("ends after its --ttl", async () => {
    const { key } = await auth.key({ ttlSeconds: 1 });
    expect(await get(key)).toBe(200);
    await eventually("the key has ended", async () => (await get(key)) === 401);
  });

  test("names the public URL it was made for; earlier ones stay good", async () => {
    const { key: first } = await auth.key({ publicUrl: "https://one.example" });
    const { key: second } = await auth.key({ publicUrl: "https://two.example" });
    expect([decodeJwt(first).iss, decodeJwt(second).iss]).toEqual([
      "https://one.example",
      "https://two.example",
    ]);
    expect([await get(first), await get(second)]).toEqual([200, 200]);
  });

  test.each([
    ["a tenant that is no id", { tenant: "a/b" }],
    ["an empty tenant", { tenant: "" }],
    ["a tenant of over 256 bytes", { tenant: "日".repeat(100) }],
    ["a name with a control character", { name: "a\nb" }],
    ["a name that is too long for an actor", { name: "x".repeat(250) }],
    ["an unknown scope", { scopes: ["session:everything"] }],
    ["no scope", { scopes: [] }],
    ["no time", { ttlSeconds: 0 }],
    ["a time with a fraction", { ttlSeconds: 1.5 }],
  ])("cannot be made with %s", async (_what, more) => {
    const before = await listApiKeys(auth.dataDir);
    await expect(auth.key(more)).rejects.toMatchObject({ code: "invalid_request" });
    expect(await listApiKeys(auth.dataDir)).toHaveLength(before.length);
  });

  test("is kept nowhere: the folder knows its id, tenant, name, scopes and times", async () => {
    const { key, id } = await auth.key({ name: "kept" });
    const listed = (await listApiKeys(auth.dataDir)).find((file) => file.id === id);
    expect(listed).toMatchObject({ id, tenant: "acme", name: "kept", scopes: ALL_SCOPES });
    const folder = join(auth.dataDir, "keys");
    for (const name of await readdir(folder))
      expect(await readFile(join(folder, name), "utf8")).not.toContain(key.split(".")[2]);
  });

  test("and its folder are for the owner only: files 0600, the folder 0700", async () => {
    await auth.key();
    const folder = join(auth.dataDir, "keys");
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    const names = await readdir(folder);
    expect(names.length).toBeGreaterThan(2);
    for (const name of names)
      expect([name, (await stat(join(folder, name))).mode & 0o777]).toEqual([name, 0o600]);
  });
});

describe("revoking a key", () => {
  test("ends it, and what was minted with it, within a second: calls, tails, streams, polls and channels", async () => {
    const { key, id: keyId } = await auth.key();
    const api = auth.as(key);
    const id = await api.create({ id: newId() });
    const minted = await auth.mint(key, id);
    const [ownTail, mintedTail] = [
      await openTail(auth.url, id, `?access_token=${key}`),
      await openTail(auth.url, id, `?access_token=${minted}`),
    ];
    using stream = await EventStream.open(`${auth.url}/v1/sessions/${id}/tail`, {
      authorization: `Bearer ${minted}`,
    });
    using feed = await EventStream.open(`${auth.url}/v1/lifecycle`, { authorization: `Bearer ${key}` });
    const poll = api.events(id, "?cursor=0&wait=30");
    using client = new PhoenixClient(auth.url, { token: minted });
    const channel = await client.join(`tail:${id}`);
    // A bystander with a key of his own.
    const other = await openTail(auth.url, id, `?access_token=${(await auth.key()).key}`);

    await revokeApiKey(auth.dataDir, keyId);
    const revokedAt = performance.now();
    expect(await within("the tail ends", ownTail.closed)).toEqual({ code: 4001, reason: "token_invalid" });
    expect(await within("the minted tail ends", mintedTail.closed)).toEqual({
      code: 4001,
      reason: "token_invalid",
    });
    await within("the stream ends", stream.ended);
    await within("the feed ends", feed.ended);
    expect(stream.messages.at(-1)?.event).toBe("token_invalid");
    expect(feed.messages.at(-1)?.event).toBe("token_invalid");
    expect((await within("the poll is answered", poll)).json.error).toBe("unauthorized");
    // Not phx_close: that would keep the client from joining again with a good token.
    await eventually("the channel is in error", () => channel.errors > 0);
    expect(performance.now() - revokedAt).toBeLessThan(1_000);
    expect([channel.isClosed, channel.of("token_expired")]).toEqual([false, []]);
    for (const token of [key, minted])
      expect((await auth.as(token).append(id, eventBody(1))).json).toMatchObject({
        error: "unauthorized",
        message: "The token was revoked.",
      });
    expect(other.socket.readyState).toBe(other.socket.OPEN);
    other[Symbol.dispose]();
  });

  test("survives a restart, and a second time is as good as one", async () => {
    const dataDir = await newDataDir();
    const first = await AuthServer.start({}, { dataDir });
    const { key, id } = await first.key();
    const { key: kept } = await first.key();
    const minted = await first.mint(key, "s");
    expect(await get(key, first)).toBe(200);
    const { revoked_at: at } = await revokeApiKey(dataDir, id);
    expect((await revokeApiKey(dataDir, id)).revoked_at).toBe(at);
    await first[Symbol.asyncDispose]();
    const second = await AuthServer.start({}, { dataDir });
    expect([await get(key, second), await get(minted, second), await get(kept, second)]).toEqual([
      401, 401, 200,
    ]);
    await second[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  });

  test("of an id that is not there is an error", async () => {
    await expect(revokeApiKey(auth.dataDir, "key_nobody")).rejects.toMatchObject({ code: "not_found" });
  });

  test("many at the same moment are all noticed", async () => {
    const keys = await Promise.all(Array.from({ length: 10 }, () => auth.key()));
    expect(await Promise.all(keys.map(({ key }) => get(key)))).toEqual(Array(10).fill(200));
    await Promise.all(keys.map(({ id }) => revokeApiKey(auth.dataDir, id)));
    const all = async (): Promise<number[]> => Promise.all(keys.map(({ key }) => get(key)));
    await eventually("all are refused", async () => (await all()).every((status) => status === 401), 1_000);
  });

  test("a key whose file is gone is good no more", async () => {
    const { key, id } = await auth.key();
    expect(await get(key)).toBe(200);
    await rm(join(auth.dataDir, "keys", `api-${id}.json`));
    await eventually("it is refused", async () => (await get(key)) === 401, 1_000);
  });
});

describe("rotating", () => {
  test("signs with a new key; what the old one signed stays good; its private half is gone", async () => {
    await using server = await AuthServer.start();
    const { key: old } = await server.key();
    const oldMinted = await server.mint(old, "s");
    const { kid } = await rotateKeys(server.dataDir);
    const { key: young } = await server.key();
    expect(decodeProtectedHeader(young).kid).toBe(kid);
    for (const token of [old, oldMinted, young]) expect(await get(token, server)).toBe(200);
    // What the server itself mints is signed with the new one, once it has noticed.
    expect(decodeProtectedHeader(await server.mint(old, "s")).kid).toBe(kid);
    const { keys } = await jwks(server);
    expect(keys.map((key) => key.kid).sort()).toEqual([kid, server.signing.kid].sort());
    const file = await readFile(join(server.dataDir, "keys", `signing-${server.signing.kid}.json`), "utf8");
    expect(file).not.toContain("private_jwk");
    expect(file).not.toContain(String(server.signing.privateJwk.d));
  });

  test("keeps an old public key as long as a token it signed can be good, and then takes it away", async () => {
    await using server = await AuthServer.start();
    await server.key({ ttlSeconds: 30 * 24 * 3600 });
    await rotateKeys(server.dataDir);
    const path = join(server.dataDir, "keys", `signing-${server.signing.kid}.json`);
    const file = JSON.parse(await readFile(path, "utf8")) as { keep_until: string };
    const days = (Date.parse(file.keep_until) - Date.now()) / (24 * 3600 * 1000);
    expect(days).toBeGreaterThan(29.9);
    expect(days).toBeLessThan(30.1);
    await writeFile(path, JSON.stringify({ ...file, keep_until: new Date(Date.now() - 1000).toISOString() }));
    const { kid } = await rotateKeys(server.dataDir);
    await expect(stat(path)).rejects.toThrow("ENOENT");
    expect((await signingKeyOf(server.dataDir)).kid).toBe(kid);
  });

  test("twice within a moment is noticed", async () => {
    await using server = await AuthServer.start();
    await rotateKeys(server.dataDir);
    await rotateKeys(server.dataDir);
    expect(await get((await server.key()).key, server)).toBe(200);
  });
});

describe("/.well-known/jwks.json", () => {
  test("shows public halves only, to everybody, and may be cached for a minute", async () => {
    const answer = await fetch(`${auth.url}/.well-known/jwks.json`);
    expect(answer.headers.get("cache-control")).toBe("public, max-age=60");
    expect(((await answer.json()) as JSONWebKeySet).keys).toEqual([
      {
        kty: "OKP",
        crv: "Ed25519",
        x: auth.signing.publicJwk.x,
        kid: auth.signing.kid,
        alg: "EdDSA",
        use: "sig",
      },
    ]);
  });
});

describe("the keys folder", () => {
  test("can be filled before the first start", async () => {
    const dataDir = await newDataDir();
    const { key } = await createApiKey(join(dataDir, "data"), { tenant: "acme" });
    const server = await AuthServer.start({}, { dataDir: join(dataDir, "data"), store: "embedded" });
    expect(await get(key, server)).toBe(200);
    await server[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  });

  test("may hold what is no key: a half-written file, a folder, a stranger's file", async () => {
    await using server = await AuthServer.start();
    const folder = join(server.dataDir, "keys");
    await writeFile(join(folder, ".api-x.json.123"), '{"id":');
    await writeFile(join(folder, "README"), "hello");
    await mkdir(join(folder, "sub"));
    expect(await get((await server.key()).key, server)).toBe(200);
  });

  test.each([
    ["api-key_x.json", "{", "api-key_x.json is not what it was written as"],
    ["api-key_x.json", "null", "api-key_x.json is not"],
    ["api-key_x.json", '{"id":"key_x"}', "api-key_x.json is not"],
    ["issuers.json", '{"urls":5}', "issuers.json is not"],
    ["signing-x.json", '{"kid":"x"}', "signing-x.json is not"],
    [
      "signing-x.json",
      '{"kid":"x","public_jwk":{"kty":"OKP"}}',
      "The signing key x in the keys folder is no",
    ],
  ])("that holds a damaged %s (%s) is named at the start and by commands", async (name, text, said) => {
    const dataDir = await newDataDir();
    await createApiKey(dataDir, { tenant: "acme" });
    await writeFile(join(dataDir, "keys", name), text);
    await expect(AuthServer.start({}, { dataDir })).rejects.toThrow(said);
    const { code, stdout, stderr } = await runDaybook([
      "keys",
      "create",
      "--tenant",
      "a",
      "--data-dir",
      dataDir,
    ]);
    expect([code, stdout, stderr.split("\n").length]).toEqual([1, "", 2]);
    expect(stderr).toContain(said);
    await rm(dataDir, { recursive: true, force: true });
  });

  test("that cannot be read for a while leaves the keys in hand", async () => {
    await using server = await AuthServer.start();
    const { key } = await server.key();
    expect(await get(key, server)).toBe(200);
    const broken = join(server.dataDir, "keys", "api-key_broken.json");
    await writeFile(broken, "{");
    await within("it is looked at", new Promise((resolve) => setTimeout(resolve, 400)));
    expect(await get(key, server)).toBe(200);
    await rm(broken);
    expect(await get((await server.key()).key, server)).toBe(200);
  });
});
