import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sameJson } from "./canonical-json.js";

/** Writes a value again with its members in another order, other spacing and every character escaped. */
function rewritten(value: unknown, space: string): string {
  if (Array.isArray(value))
    return `[${space}${value.map((item) => rewritten(item, space)).join(`${space},`)}${space}]`;
  if (typeof value === "string") return escaped(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).reverse();
  return `{${members.map(([name, item]) => `${space}${escaped(name)}${space}:${rewritten(item, space)}`).join()}}${space}`;
}

function escaped(value: string): string {
  let text = "";
  for (let index = 0; index < value.length; index++) {
    text += `\\u${value.charCodeAt(index).toString(16).padStart(4, "0")}`;
  }
  return `"${text}"`;
}

describe("sameJson", () => {
  it("finds a value the same however it is ordered, spaced and escaped", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("", " ", "\n\t\r "), (value, space) => {
        const text = JSON.stringify(value);
        expect(sameJson(text, text)).toBe(true);
        expect(sameJson(text, rewritten(JSON.parse(text), space))).toBe(true);
      }),
    );
  });

  it("tells different values apart", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 2 }), fc.jsonValue({ maxDepth: 2 }), (a, b) => {
        // Written once more with sorted members, equal values have equal text; -0 is written as 0.
        expect(sameJson(JSON.stringify(a), ` ${JSON.stringify(b)}`)).toBe(sorted(a) === sorted(b));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ["1", "1.0"],
    ["1", "1e0"],
    ["1", "10e-1"],
    ["1", "0.001E+3"],
    ["1", "1e-0"],
    ["0", "-0"],
    ["0", "0.000e99999999999999999999"],
    ["-0.0", "0e-1"],
    ["-1.50", "-15e-1"],
    ["100", "1e2"],
    ["100", "1e00000000000000000000002"],
    ["9007199254740993", "9007199254740993.0"],
    ["1e400", "10e399"],
    ["1e1000000000", "10e999999999"],
    ["1e-1000000000", "0.1e-999999999"],
    ["1e1000000000000000", "10e999999999999999"],
    ["1e-1000000000000000", "0.1e-999999999999999"],
    ["1e10000000000000000000000000", "10e9999999999999999999999999"],
    ["1e-10000000000000000000000000", "0.1e-9999999999999999999999999"],
    ["1e19999999999999999999999999", "0.1e20000000000000000000000000"],
    ['"\\u0061"', '"a"'],
    ['"\\/"', '"/"'],
    ['"\\uD83D\\uDE00"', '"😀"'],
    ['"\\ud800"', '"\\uD800"'],
    ['{"a":1,"b":2}', '{"b":2.0, "a":1}'],
    ['{"\\u0061":1}', '{"a":1}'],
    ["[ ]", "[]"],
    ["{ }", "{}"],
    [" true ", "true"],
  ])("%s is %s", (a, b) => {
    expect(sameJson(a, b)).toBe(true);
    expect(sameJson(b, a)).toBe(true);
  });

  it.each([
    ["9007199254740993", "9007199254740992"],
    ["0.1", "0.10000000000000000001"],
    ["1e400", "1e401"],
    ["1e1000000000", "1e1000000001"],
    ["1e99999999999999999999", "1e99999999999999999998"],
    ["1e99999999999999999999", "1e-99999999999999999999"],
    ["1", "-1"],
    ["1", "10"],
    ["12", "21"],
    ["1", '"1"'],
    ["null", '"null"'],
    ["null", "false"],
    ["[]", "{}"],
    ["[]", "[null]"],
    ["[1,2]", "[2,1]"],
    ["[1,2]", "[12]"],
    ["[[1],2]", "[[1,2]]"],
    ['["a","b"]', '["a,b"]'],
    ['["a\\",\\"b"]', '["a","b"]'],
    ['{"a":1}', '{"a":1,"b":null}'],
    ['{"a":1,"b":2}', '{"a":2,"b":1}'],
    ['{"a":{"b":1}}', '{"a":{},"b":1}'],
    ['{"a":1}', '{"A":1}'],
    ['"\\ud800"', '"\\ud801"'],
    ['"é"', '"e\u0301"'],
  ])("%s is not %s", (a, b) => {
    expect(sameJson(a, b)).toBe(false);
    expect(sameJson(b, a)).toBe(false);
  });

  it("compares numbers as exactly as BigInt does, however their point is moved", () => {
    const exponent = fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n });
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n }),
        exponent,
        fc.nat(20),
        fc.integer({ min: -1, max: 1 }),
        (n, e, zeros, off) => {
          const shifted = `${n}${"0".repeat(zeros)}e${e - BigInt(zeros) + BigInt(off)}`;
          expect(sameJson(`${n}e${e}`, ` ${shifted}`)).toBe(off === 0);
          const fraction = `0.${"0".repeat(zeros)}${n}e${e + BigInt(zeros + String(n).length + off)}`;
          expect(sameJson(`${n}e${e}`, ` ${fraction}`)).toBe(off === 0);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it.each([64, 1000])("goes down %i levels", (depth) => {
    const a = '{"a":'.repeat(depth) + "1.0" + "}".repeat(depth);
    expect(sameJson(a, a.replace("1.0", "1"))).toBe(true);
    expect(sameJson(a, a.replace("1.0", "2"))).toBe(false);
    const b = "[".repeat(depth) + "1.0" + "]".repeat(depth);
    expect(sameJson(b, b.replace("1.0", "1"))).toBe(true);
  });

  it("compares a megabyte of exponent, or of digits, without computing with it", () => {
    const nines = "9".repeat(1_000_000);
    expect(sameJson(`1e${nines}`, `0.1e1${"0".repeat(1_000_000)}`)).toBe(true);
    expect(sameJson(`${nines}.0`, nines)).toBe(true);
  });
});

function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}:${sorted(item)}`);
  return `{${members.sort().join()}}`;
}
