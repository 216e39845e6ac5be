import { describe, expect, test } from "vitest";
import { OPEN_CALLER } from "../service/caller.js";
import { TokenCache } from "./token-cache.js";

describe("the cache of verified tokens", () => {
  test("holds so many tokens, the oldest go first", () => {
    const cache = new TokenCache({ tokensMax: 3, charactersMax: 1_000 });
    for (const token of ["a", "b", "c", "d"]) cache.add(token, OPEN_CALLER);
    expect(cache.size).toBe(3);
    expect([cache.get("a"), cache.get("d")]).toEqual([undefined, OPEN_CALLER]);
  });

  test("holds so many characters, however few tokens they are", () => {
    const cache = new TokenCache({ tokensMax: 100, charactersMax: 25 });
    for (const letter of ["a", "b", "c"]) cache.add(letter.repeat(10), OPEN_CALLER);
    expect(cache.size).toBe(2);
    cache.delete("c".repeat(10));
    cache.add("d".repeat(10), OPEN_CALLER);
    expect(cache.size).toBe(2);
  });

  test("a token added twice counts once", () => {
    const cache = new TokenCache({ tokensMax: 100, charactersMax: 10 });
    for (let time = 0; time < 5; time++) cache.add("abcdef", OPEN_CALLER);
    expect(cache.get("abcdef")).toBe(OPEN_CALLER);
    cache.clear();
    expect([cache.size, cache.get("abcdef")]).toEqual([0, undefined]);
  });
});
