import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT, type CryptoKey } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { IssuerKeys } from "./issuer-keys.js";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const SETTINGS = { issuer: "https://idp.example", audience: "app" };

/** An issuer's keys under an injected clock. */
describe("keys of an outside issuer", () => {
  const server = createServer();
  let url = "";
  let asked = 0;
  let away = false;
  let keys: JWK[] = [];
  let nowMs = 0;
  const privateKeys = new Map<string, CryptoKey>();

  beforeEach(async () => {
    [asked, away, keys, nowMs] = [0, false, [], 1_000_000];
    server.removeAllListeners("request").on("request", (_request, response) => {
      asked++;
      if (away) response.destroy();
      else response.end(JSON.stringify({ keys }));
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });

  async function addKey(kid: string): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    privateKeys.set(kid, privateKey);
    keys.push({ ...(await exportJWK(publicKey)), kid });
  }

  const open = (): IssuerKeys => new IssuerKeys({ ...SETTINGS, jwksUrl: url }, { clock: () => nowMs });

  async function verify(issuer: IssuerKeys, kid: string): Promise<string> {
    const key = privateKeys.get(kid);
    if (key === undefined) throw new Error(`there is no key ${kid}`);
    const token = await new SignJWT({ sub: "user:u" })
      .setProtectedHeader({ alg: "ES256", kid })
      .setIssuer(SETTINGS.issuer)
      .setAudience(SETTINGS.audience)
      .setExpirationTime("1h")
      .sign(key);
    return issuer.verify(token, kid).then(
      () => "ok",
      (error: unknown) => (error as { code: string }).code,
    );
  }

  test("are fetched at the first token and then refreshed every ten minutes", async () => {
    await addKey("a");
    const issuer = open();
    expect(await verify(issuer, "a")).toBe("ok");
    nowMs += 9 * MINUTE;
    expect([await verify(issuer, "a"), asked]).toEqual(["ok", 1]);
    nowMs += 2 * MINUTE;
    expect(await verify(issuer, "a")).toBe("ok");
    // The refresh goes on beside the answer.
    await expect.poll(() => asked).toBe(2);
  });

  test("an unknown kid asks at once, and then not again for half a minute", async () => {
    await addKey("a");
    await addKey("b");
    const [a] = keys;
    const all = keys;
    keys = a === undefined ? [] : [a];
    const issuer = open();
    expect(await verify(issuer, "a")).toBe("ok");
    nowMs += 31_000;
    expect([await verify(issuer, "b"), asked]).toEqual(["ERR_JWKS_NO_MATCHING_KEY", 2]);
    keys = all;
    nowMs += 29_000;
    expect([await verify(issuer, "b"), asked]).toEqual(["ERR_JWKS_NO_MATCHING_KEY", 2]);
    nowMs += 2_000;
    expect([await verify(issuer, "b"), asked]).toEqual(["ok", 3]);
  });

  test("outlive an outage for a day, and are then good no more until it is over", async () => {
    await addKey("a");
    const issuer = open();
    expect(await verify(issuer, "a")).toBe("ok");
    away = true;
    nowMs += DAY - MINUTE;
    expect(await verify(issuer, "a")).toBe("ok");
    await expect.poll(() => asked).toBeGreaterThan(1);
    nowMs += 2 * MINUTE;
    expect(await verify(issuer, "a")).toBe("issuer_unavailable");
    away = false;
    nowMs += 2_000;
    expect(await verify(issuer, "a")).toBe("ok");
  });

  test("a key that is not known while the issuer is away is no fault of the token", async () => {
    await addKey("a");
    const issuer = open();
    expect(await verify(issuer, "a")).toBe("ok");
    await addKey("b");
    away = true;
    nowMs += MINUTE;
    expect(await verify(issuer, "b")).toBe("issuer_unavailable");
    expect(await verify(issuer, "a")).toBe("ok");
    away = false;
    nowMs += 2_000;
    expect(await verify(issuer, "b")).toBe("ok");
  });

  test("a key that the issuer took away is good no more", async () => {
    await addKey("a");
    await addKey("b");
    const issuer = open();
    expect(await verify(issuer, "a")).toBe("ok");
    keys = keys.filter(({ kid }) => kid !== "a");
    nowMs += 11 * MINUTE;
    await verify(issuer, "b");
    await expect.poll(() => asked).toBe(2);
    await expect.poll(() => verify(issuer, "a")).toBe("ERR_JWKS_NO_MATCHING_KEY");
  });

  test("many tokens at once ask once", async () => {
    await addKey("a");
    const issuer = open();
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => verify(issuer, "a")));
    expect([new Set(outcomes), asked]).toEqual([new Set(["ok"]), 1]);
  });
});
