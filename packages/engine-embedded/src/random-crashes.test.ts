import { tellStories } from "@daybook/test-kit";
import { describe, it } from "vitest";

/**
 * Random work on a disk that loses its power at random moments, in several lives in a row. `DAYBOOK_SEEDS=20000` hunts
 * longer; `DAYBOOK_SEED=123` tells one story, the one that a failure names. Even seeds are in the file beside this.
 */
describe("after a power loss at any moment, several times in a row", () => {
  it("the store holds its promises: odd seeds", () => tellStories("odd"), 3_600_000);
});
