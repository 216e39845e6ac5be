import { describe, expect, it } from "vitest";
import { type EventValues, ValueCache } from "./value-cache.js";

const values = (key: string): EventValues => new Map([[key, [{ kind: "set", key, value: "1" }]]]);

describe("values that were read lately", () => {
  it("are there until others were used more lately, and there are too many", () => {
    const cache = new ValueCache(10_000);
    for (let seq = 1; seq <= 4; seq++) cache.keep(7, seq, values(`k${seq}`), 2_000);
    expect(cache.get(7, 1)?.has("k1")).toBe(true);
    cache.keep(7, 5, values("k5"), 2_000);
    expect([1, 2, 3, 4, 5].map((seq) => cache.get(7, seq)?.size)).toEqual([1, undefined, 1, 1, 1]);
  });

  it("are those of one log", () => {
    const cache = new ValueCache(10_000);
    cache.keep(1, 23, values("of 1"), 100);
    cache.keep(12, 3, values("of 12"), 100);
    expect(cache.get(1, 23)?.has("of 1")).toBe(true);
    expect(cache.get(12, 3)?.has("of 12")).toBe(true);
    expect(cache.get(1, 3)).toBeUndefined();
  });

  it("are not kept if they alone are too many, and kept twice they count once", () => {
    const cache = new ValueCache(10_000);
    cache.keep(1, 1, values("large"), 10_000);
    expect(cache.get(1, 1)).toBeUndefined();
    const many = Array.from({ length: 50 }, () => ({ kind: "delete", key: "k" }) as const);
    cache.keep(1, 2, new Map([["k", many]]), 10);
    expect(cache.get(1, 2)).toBeUndefined();
    for (let turn = 0; turn < 20; turn++) cache.keep(1, 3, values("k"), 4_000);
    cache.keep(1, 4, values("k"), 4_000);
    expect([cache.get(1, 3)?.size, cache.get(1, 4)?.size]).toEqual([1, 1]);
  });
});
