import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { onOneLine, openObject, withProducer, writeObject } from "./event-text.js";
import { compactJson } from "./render-event.js";

describe("event texts", () => {
  it("keep numbers, order and members named like prototypes as they came", () => {
    const text = '{"b":1.0,"a":12345678901234567890,"__proto__":{"x":1e400}}';
    expect(writeObject(openObject(text))).toBe(text);
  });

  it("get the producer pair in the place of another one", () => {
    const event = withProducer(openObject('{"producer_seq":7,"type":"a"}'), 'p"1', 3);
    expect(JSON.parse(writeObject(event))).toEqual({ producer_seq: 3, type: "a", producer_id: 'p"1' });
  });

  it.each([
    ["[1]", "must be a JSON object, like {…}"],
    ["{", "is not JSON"],
    ['{"a":1,"a":2}', "is not JSON"],
  ])("refuse %s", (text, why) => {
    expect(() => openObject(text)).toThrow(why);
  });

  it("mean the same on one line and without spaces", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("\t", "  ", "\r\n"), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent === "\r\n" ? 1 : indent).replaceAll(
          "\n",
          indent === "\r\n" ? "\r\n" : "\n",
        );
        const line = onOneLine(text);
        expect(line).not.toMatch(/[\r\n]/);
        expect(line.length).toBe(text.length);
        expect(JSON.parse(line)).toEqual(JSON.parse(text));
        expect(compactJson(text)).toBe(JSON.stringify(value));
      }),
    );
  });
});
