import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { OPEN_CALLER } from "./caller.js";
import { ownName } from "./own-name.js";
import { readAppend } from "./read-append.js";

const MIB = 1024 * 1024;
const LIMITS = { eventBytesMax: MIB, batchEventsMax: 1_000, batchBytesMax: 8 * MIB };

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

describe("a name that is remembered", () => {
  it("does not keep the body that it came in", () => {
    const bodies = 40;
    const text = "x".repeat(MIB / 2);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    const remembered = Array.from({ length: bodies }, (_, index) => {
      const event = {
        type: "t",
        payload: { text },
        producer_id: `a-producer-of-its-own-${index}`,
        producer_seq: 1,
      };
      return readAppend(Buffer.from(JSON.stringify(event)), OPEN_CALLER, LIMITS).events[0]?.producer?.id;
    });
    collectGarbage();
    const kept = process.memoryUsage().heapUsed - before;
    expect(remembered).toHaveLength(bodies);
    expect(kept).toBeLessThan((bodies * text.length) / 4);
  });

  it("is the same text, whatever it holds", () => {
    for (const name of [
      "",
      "short",
      "a longer name, with spaces",
      "Ünïcödé and 日本語",
      "half \ud800 of a pair",
    ])
      expect(ownName(name)).toBe(name);
  });

  it("stays right when more names come than are kept", () => {
    for (let index = 0; index < 3_000; index++)
      expect(ownName(`the name number ${index}`)).toBe(`the name number ${index}`);
  });
});
