import { describe, expect, test } from "vitest";
import { DaybookError } from "./errors.js";
import { defaultEnvironment } from "./environment.js";
import { PageClock, settled, SimClock } from "./sim-clock.test.support.js";
import { readClaims } from "./token-claims.js";
import { type RefreshToken, TokenKeeper } from "./token-keeper.js";

const token = (claims: object): string => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

function keeper(first: string | undefined, refreshToken?: RefreshToken) {
  const clock = new SimClock();
  const told: string[] = [];
  const tokens = new TokenKeeper({
    token: first,
    refreshToken,
    environment: { ...defaultEnvironment(), clock: new PageClock(clock), random: () => 0 },
    changed: () => void told.push("changed"),
    failed: ({ message }) => void told.push(message),
  });
  return { clock, tokens, told };
}

describe("a token's claims", () => {
  test("say whose it is, for which session, and how long it lives", () => {
    const claims = {
      tenant_id: "acme",
      session_id: "s-ü",
      principal_type: "user",
      principal_id: "é:1",
      sub: "x",
      iat: 10,
      exp: 70,
    };
    expect(readClaims(token(claims))).toEqual({
      tenant: "acme",
      sessionId: "s-ü",
      actor: "user:é:1",
      identity: { type: "user", id: "é:1" },
      lifetimeMs: 60_000,
    });
  });

  test("of other issuers say it in sub", () => {
    expect(readClaims(token({ sub: "agent:drafter" }))).toMatchObject({
      actor: "agent:drafter",
      identity: { type: "agent", id: "drafter" },
    });
    expect(readClaims(token({ sub: "service:backend" }))).toMatchObject({
      actor: "service:backend",
      identity: undefined,
    });
  });

  test.each(["", "nonsense", "a.b.c", `h.${btoa("[]")}.s`, `h.${btoa("null")}.s`])(
    "%s is no token",
    (text) => {
      expect(() => readClaims(text)).toThrow(expect.objectContaining({ code: "invalid_token" }));
    },
  );
});

describe("a session's token", () => {
  const lived = (name: string, seconds: number): string => token({ name, iat: 0, exp: seconds });

  test("is replaced after two thirds of its life, by whatever clock", async () => {
    let count = 0;
    const { clock, tokens, told } = keeper(lived("0", 90), () => Promise.resolve(lived(String(++count), 90)));
    await clock.advance(59_000);
    expect([tokens.current, told]).toEqual([lived("0", 90), []]);
    await clock.advance(2_000);
    expect([tokens.current, told]).toEqual([lived("1", 90), ["changed"]]);
    await clock.advance(60_000);
    expect(tokens.current).toBe(lived("2", 90));
  });

  test("is fetched once however many ask, and not at all when there is another already", async () => {
    let count = 0;
    const { tokens } = keeper("h.e30.0", () => Promise.resolve(`h.e30.${++count}`));
    const both = await Promise.all([tokens.refresh("h.e30.0"), tokens.refresh("h.e30.0")]);
    expect([both, count]).toEqual([["h.e30.1", "h.e30.1"], 1]);
    expect(await tokens.refresh("h.e30.0")).toBe("h.e30.1");
    expect(count).toBe(1);
  });

  test("is asked for again and again while that fails, later each time", async () => {
    const asked: number[] = [];
    const { clock, tokens, told } = keeper("h.e30.0", () => {
      asked.push(clock.nowMs);
      return asked.length < 4 ? Promise.reject(new Error("down")) : Promise.resolve("h.e30.1");
    });
    const refreshed = tokens.refresh("h.e30.0");
    await clock.advance(60_000);
    expect(await refreshed).toBe("h.e30.1");
    expect(asked).toEqual([0, 125, 375, 875]);
    expect(told).toEqual(["down", "down", "down", "changed"]);
  });

  test("there is none without a refreshToken, or when that says so", async () => {
    await expect(keeper("h.e30.0").tokens.refresh("h.e30.0")).rejects.toMatchObject({
      code: "invalid_token",
    });
    const refused = keeper("h.e30.0", () => Promise.resolve(null)).tokens.refresh("h.e30.0");
    await expect(refused).rejects.toMatchObject({ code: "invalid_token", isAuth: true });
    const final = new DaybookError("forbidden", "no");
    await expect(keeper("h.e30.0", () => Promise.reject(final)).tokens.refresh("h.e30.0")).rejects.toBe(
      final,
    );
  });

  test("that is given meanwhile is taken, and closing ends the asking", async () => {
    const failing = (): Promise<never> => Promise.reject(new Error("down"));
    const first = keeper("h.e30.0", failing);
    const refreshed = first.tokens.refresh("h.e30.0");
    await settled();
    first.tokens.replace("h.e30.9");
    expect(await refreshed).toBe("h.e30.9");
    const second = keeper("h.e30.0", failing);
    const refused = second.tokens.refresh("h.e30.0");
    await settled();
    second.tokens.stop();
    await expect(refused).rejects.toMatchObject({ code: "closed" });
  });
});
