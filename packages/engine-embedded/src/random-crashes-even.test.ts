import { tellStories } from "@daybook/test-kit";
import { describe, it } from "vitest";

/** A file of its own, because each file runs on a core of its own. */
describe("after a power loss at any moment, several times in a row", () => {
  it("the store holds its promises: even seeds", () => tellStories("even"), 3_600_000);
});
