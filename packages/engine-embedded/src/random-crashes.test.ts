import { tellStory } from "@daybook/test-kit";
import { describe, it } from "vitest";

/**
 * Random work on a disk that loses its power at random moments, in several lives in a row. `DAYBOOK_SEEDS=20000` hunts
 * longer; `DAYBOOK_SEED=123` runs one seed, the one that a failure names.
 */
const SEEDS = Number(process.env["DAYBOOK_SEEDS"] ?? 500);
const ONLY = process.env["DAYBOOK_SEED"];
/** Seeds in one test: a test names the seeds it ran. */
const SEEDS_AT_ONCE = 50;

describe("after a power loss at any moment, several times in a row", () => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(ONLY)];
  for (let first = 0; first < seeds.length; first += SEEDS_AT_ONCE) {
    const some = seeds.slice(first, first + SEEDS_AT_ONCE);
    it(`the store holds its promises: seeds ${some[0] ?? 0} to ${some.at(-1) ?? 0}`, async () => {
      for (const seed of some) await tellStory(seed);
    });
  }
});
