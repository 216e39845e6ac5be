import { describe, expect, it } from "vitest";
import { isWorthAnotherTry, retryAfterMs, retryDelayMs } from "./retry-policy.js";

describe("the retry policy", () => {
  it("doubles the delay from 250 ms to 5 s, and takes up to half of it away at random", () => {
    expect([1, 2, 3, 4, 5, 6, 100].map((failures) => retryDelayMs(failures, 1))).toEqual([
      250, 500, 1000, 2000, 4000, 5000, 5000,
    ]);
    expect(retryDelayMs(3, 0)).toBe(500);
  });

  it("reads seconds from Retry-After, and nothing else", () => {
    expect(retryAfterMs("2")).toBe(2000);
    expect(retryAfterMs("86400")).toBe(30_000);
    expect(retryAfterMs("Wed, 21 Oct 2030 07:28:00 GMT")).toBe(0);
    expect(retryAfterMs(undefined)).toBe(0);
  });

  it("sends again what may be repeated on any overload, and never what was refused", () => {
    for (const status of [408, 425, 429, 500, 502, 503, 504])
      expect(isWorthAnotherTry(status, "", true)).toBe(true);
    for (const status of [400, 401, 403, 404, 409, 410, 413])
      expect(isWorthAnotherTry(status, "", true)).toBe(false);
  });

  it("sends again what must not be repeated only when the first time surely did nothing", () => {
    expect(isWorthAnotherTry(429, "rate_limited", false)).toBe(true);
    expect(isWorthAnotherTry(503, "shutting_down", false)).toBe(true);
    expect(isWorthAnotherTry(503, "storage_unavailable", false)).toBe(false);
    expect(isWorthAnotherTry(502, "unexpected_answer", false)).toBe(false);
  });
});
