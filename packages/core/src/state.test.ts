import { LIMITS, RawJson } from "@daybook/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteLength, compareKeys, keysOf, readStateChange } from "./state.js";

const read = (text: string): ReturnType<typeof readStateChange> =>
  readStateChange(new RawJson(text, "object"));

describe("an event's state", () => {
  it("is read as operations in their order, conditions and its exact text", () => {
    const text = '{ "set": {"b":1,"a":{"x":2}}, "delete":["c"], "if":{"a":0,"z":3} }';
    const change = read(text);
    expect(change.operations).toEqual([
      { kind: "set", key: "b" },
      { kind: "set", key: "a" },
      { kind: "delete", key: "c" },
    ]);
    expect([...change.conditions]).toEqual([
      ["a", 0],
      ["z", 3],
    ]);
    expect(change.text).toBe(text);
    expect(keysOf(change)).toEqual(["b", "a", "c", "a", "z"]);
  });

  it("takes keys that mean something to JavaScript as plain keys", () => {
    expect(read('{"set":{"__proto__":1,"constructor":2}}').operations.map(({ key }) => key)).toEqual([
      "__proto__",
      "constructor",
    ]);
  });

  it.each([
    '{"set":1}',
    '{"set":[]}',
    '{"delete":{}}',
    '{"delete":[1]}',
    '{"if":{"a":-1}}',
    '{"if":{"a":1.5}}',
    '{"if":{"a":"1"}}',
    '{"if":{"a":9007199254740993}}',
    '{"if":[]}',
    '{"set":{"":1}}',
    '{"set":{"a":1},"delete":["a"]}',
    '{"set":{"a\\u0000":1}}',
    '{"set":{"a\\u0004":1}}',
    '{"operations":[]}',
    '{"delete":["\\ud800"]}',
  ])("is refused: %s", (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: "invalid_event" }) as Error);
  });

  it("takes keys up to their limit in bytes", () => {
    const key = "é".repeat(LIMITS.stateKeyBytesMax / 2);
    expect(read(`{"set":{"${key}":1}}`).operations).toEqual([{ kind: "set", key }]);
    expect(() => read(`{"set":{"${key}x":1}}`)).toThrow("over 1024 bytes");
  });

  it("takes values up to their limit in bytes", () => {
    const value = (bytes: number): string => `"é${"x".repeat(bytes - 4)}"`;
    expect(read(`{"set":{"k":${value(LIMITS.stateValueBytesMax)}}}`).operations).toHaveLength(1);
    expect(() => read(`{"set":{"k":${value(LIMITS.stateValueBytesMax + 1)}}}`)).toThrow("over 1 MiB");
  });

  it("has its keys in the order of their bytes in UTF-8", () => {
    const key = fc.string({
      unit: fc.constantFrom("a", "b", "\u00e9", "\ud7ff", "\ue000", "\uffff", "😀", "😁"),
    });
    // In hexadecimal, so that comparing the letters compares the bytes.
    const utf8 = (text: string): string =>
      encodeURIComponent(text).replaceAll(/%(..)|(.)/g, (_all, code: string | undefined, letter: string) =>
        (code ?? letter.charCodeAt(0).toString(16)).toLowerCase(),
      );
    fc.assert(
      fc.property(key, key, (one, other) => {
        const [left, right] = [utf8(one), utf8(other)];
        expect(Math.sign(compareKeys(one, other))).toBe(left < right ? -1 : left > right ? 1 : 0);
      }),
    );
  });

  it("counts bytes as UTF-8 does", () => {
    const utf8Bytes = (text: string): number => encodeURIComponent(text).replaceAll(/%../g, "x").length;
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 30 }), (text) => {
        expect(byteLength(text)).toBe(utf8Bytes(text));
      }),
    );
  });
});
