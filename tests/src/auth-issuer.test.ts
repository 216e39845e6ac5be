import { createHmac, createPublicKey, type JsonWebKey } from "node:crypto";
import { eventBody, eventually } from "@daybook/test-kit";
import { startServer } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import { AuthServer, forgedToken, newId } from "./support/auth-server.js";
import { LocalIssuer } from "./support/local-issuer.js";
import { PhoenixClient } from "./support/phoenix-client.js";

const outcome = async (auth: AuthServer, token: string): Promise<string> => {
  const { status, json } = await auth.as(token).call("GET", "/v1/sessions");
  return status === 200 ? "ok" : `${status} ${json.error}`;
};

describe("an outside issuer", () => {
  test.each(["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])("may sign with %s", async (alg) => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1", alg);
    await using auth = await AuthServer.start(issuer.settings);
    expect(await outcome(auth, await issuer.token())).toBe("ok");
  });

  test("is asked once for many tokens, and its tokens stand beside our own", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1");
    await using auth = await AuthServer.start(issuer.settings);
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, n) => issuer.token({ sub: `user:u${n}` })),
    );
    const outcomes = await Promise.all(tokens.map((token) => outcome(auth, token)));
    expect(new Set(outcomes)).toEqual(new Set(["ok"]));
    expect(issuer.asked).toBe(1);
    expect(await outcome(auth, (await auth.key()).key)).toBe("ok");
    expect(issuer.asked).toBe(1);
  });

  test("its user writes as himself, on channels too", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1", "ES256");
    await using auth = await AuthServer.start(issuer.settings);
    const token = await issuer.token({ sub: "user:alice@example.com" });
    const id = await auth.as(token).create({ id: newId() });
    using client = new PhoenixClient(auth.url, { token });
    const tail = await client.join(`tail:${id}`);
    await tail.push("append", { event: eventBody(1) });
    await tail.reached(1);
    expect(tail.events[0]?.actor).toBe("user:alice@example.com");
  });

  test("its service mints session tokens, which never outlive the token they were minted with", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1");
    await using auth = await AuthServer.start(issuer.settings);
    const exp = Math.floor(Date.now() / 1000) + 30;
    const { status, json } = await auth
      .as(await issuer.token({ exp }))
      .call("POST", "/api/v1/session-tokens", {
        session_id: "s",
        principal: { type: "user", id: "u" },
        scopes: ["session:read"],
      });
    expect(status).toBe(200);
    expect((json as unknown as { expires_in: number }).expires_in).toBeLessThanOrEqual(30);
  });

  test("its tokens are checked like ours: times, audience, issuer, claims, algorithm, signature", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1");
    await using auth = await AuthServer.start(issuer.settings);
    const now = Math.floor(Date.now() / 1000);
    const good = await issuer.token();
    const [header = "", , signature = ""] = good.split(".");
    const [publicKey] = issuer.keys;
    const pem = createPublicKey({ key: publicKey?.publicJwk as JsonWebKey, format: "jwk" })
      .export({ type: "spki", format: "pem" })
      .toString();
    const hs256 = forgedToken({ alg: "HS256", kid: "k1" }, {}).slice(0, -1);
    const bad = {
      expired: await issuer.token({ exp: now - 5 }),
      early: await issuer.token({ nbf: now + 3600 }),
      audience: await issuer.token({ aud: "daybook" }),
      issuer: await issuer.token({ iss: "https://elsewhere.example" }),
      ours: await issuer.token({ iss: auth.url, aud: "daybook" }),
      endless: await issuer.token({ exp: undefined }),
      tenantless: await issuer.token({ tenant_id: undefined }),
      nobody: await issuer.token({ sub: "alice" }),
      scopeless: await issuer.token({ scope: "" }),
      tampered: `${header}.${forgedToken({}, { sub: "user:x" }).split(".")[1] ?? ""}.${signature}`,
      none: forgedToken({ alg: "none", kid: "k1" }, {}),
      hs256: `${hs256}.${createHmac("sha256", pem).update(hs256).digest("base64url")}`,
    };
    for (const [what, token] of Object.entries(bad))
      expect([what, await outcome(auth, token)]).toEqual([what, "401 unauthorized"]);
    expect(await outcome(auth, good)).toBe("ok");
  });

  test("its key ids and jtis do not touch ours: a jti like a revoked key's means nothing there", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1");
    await using auth = await AuthServer.start(issuer.settings);
    expect(await outcome(auth, await issuer.token({ jti: "key_revoked", api_key: "key_revoked" }))).toBe(
      "ok",
    );
    await issuer.addKey(auth.signing.kid);
    expect(await outcome(auth, await issuer.token())).toBe("401 unauthorized");
  });

  test("rotates: a key that is new there is fetched when a token first names it", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("old");
    await using auth = await AuthServer.start({ ...issuer.settings });
    // Nothing was asked yet, so there is no cool-down.
    await issuer.addKey("new", "ES256");
    expect(await outcome(auth, await issuer.token({}, { kid: "new" }))).toBe("ok");
    expect(await outcome(auth, await issuer.token({}, { kid: "old" }))).toBe("ok");
  });

  test("made-up key ids ask it once and not again for a while", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1");
    await using auth = await AuthServer.start(issuer.settings);
    expect(await outcome(auth, await issuer.token())).toBe("ok");
    for (let n = 0; n < 20; n++)
      expect(await outcome(auth, forgedToken({ alg: "RS256", kid: `made-up-${n}` }, {}))).toBe(
        "401 unauthorized",
      );
    expect(issuer.asked).toBe(1);
    expect(await outcome(auth, await issuer.token({ sub: "user:still-good" }))).toBe("ok");
  });

  test("that is away from the start: 503 with Retry-After, not 401; back again, its tokens work", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1");
    issuer.trouble = { status: 500, body: "{}" };
    await using auth = await AuthServer.start(issuer.settings);
    const token = await issuer.token();
    const { status, json, headers } = await auth.as(token).call("GET", "/v1/sessions");
    expect([status, json.error, headers.get("retry-after")]).toEqual([503, "issuer_unavailable", "1"]);
    // Our own keys do not need it.
    expect(await outcome(auth, (await auth.key()).key)).toBe("ok");
    issuer.trouble = undefined;
    await eventually("it is asked again", async () => (await outcome(auth, token)) === "ok", 5_000);
  });

  test("that is away later, or answers nonsense, is not noticed by tokens of keys in hand", async () => {
    await using issuer = await LocalIssuer.start();
    await issuer.addKey("k1");
    await using auth = await AuthServer.start(issuer.settings);
    expect(await outcome(auth, await issuer.token())).toBe("ok");
    issuer.trouble = { status: 200, body: "this is no key set" };
    expect(await outcome(auth, await issuer.token({ sub: "user:another" }))).toBe("ok");
  });

  test("needs all three of its settings", async () => {
    const settings = { auth: "jwt", jwtIssuer: "https://idp.example" } as const;
    await expect(startServer({ store: "memory", settings })).rejects.toThrow("go together");
  });
});
