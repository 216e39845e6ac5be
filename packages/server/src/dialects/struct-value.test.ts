import { DaybookError } from "@daybook/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeStruct, encodeStruct } from "./struct-value.js";

/** JSON values, with names that mean something to JavaScript. */
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: "grapheme" }),
    fc.array(tie("value"), { maxLength: 4 }),
    tie("object"),
  ),
  object: fc
    .array(
      fc.tuple(fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "7", "")), tie("value")),
      {
        maxLength: 4,
      },
    )
    .map((members) => Object.fromEntries(members) as object),
}));

/** JSON.stringify says 0 for -0. */
const textOf = (value: unknown): string =>
  Object.is(value, -0)
    ? "-0"
    : Array.isArray(value)
      ? `[${value.map(textOf).join(",")}]`
      : typeof value === "object" && value !== null
        ? `{${Object.entries(value)
            .map(([name, member]) => `${JSON.stringify(name)}:${textOf(member)}`)
            .join(",")}}`
        : JSON.stringify(value);

describe("a Struct in binary", () => {
  test("comes back as the very JSON it was made of", () => {
    fc.assert(
      fc.property(json.object, (object) => {
        const text = textOf(object);
        expect(decodeStruct(encodeStruct(text))).toBe(text);
      }),
    );
  });

  test("that is any bytes is refused, or is some JSON object, and never anything else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          expect(JSON.parse(decodeStruct(bytes))).toBeTypeOf("object");
        } catch (error) {
          expect(error).toBeInstanceOf(DaybookError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("that is cut or has a byte changed is refused, or is some JSON object", () => {
    const whole = encodeStruct('{"a":[1,{"b":"text"},null],"c":true,"d":{"e":-1.5e300}}');
    for (let at = 0; at < whole.length; at++) {
      for (const change of [0x00, 0x01, 0x7f, 0xff]) {
        const bytes = Uint8Array.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        for (const tried of [bytes, bytes.subarray(0, at)]) {
          try {
            expect(JSON.parse(decodeStruct(tried))).toBeTypeOf("object");
          } catch (error) {
            expect(error).toBeInstanceOf(DaybookError);
          }
        }
      }
    }
  });
});
