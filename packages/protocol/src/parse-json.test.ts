import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type JsonShape, JsonSyntaxError, parseJson, RawJson } from "./parse-json.js";

const limits = { depthMax: 64 };

function refusalOf(text: string, shape: JsonShape = "raw", depthMax = 64): JsonSyntaxError {
  try {
    parseJson(text, shape, { depthMax });
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error;
    throw error;
  }
  throw new Error(`was accepted: ${text.slice(0, 200)}`);
}

/** JSON.parse's verdict and result, to compare with: undefined stands for "refused". */
function parsedByEngine(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

const ACCEPTED = [
  "{}",
  "[]",
  '""',
  "0",
  "-0",
  "1",
  "-1",
  "10",
  "0.5",
  "-0.0",
  "1e5",
  "1E5",
  "1e+5",
  "1e-5",
  "0e1",
  "0e+01",
  "123.456e-789",
  "1e400",
  "100000000000000000000000000000000000001",
  "true",
  "false",
  "null",
  " \t\r\n1\n\r\t ",
  "[ ]",
  "{ }",
  "[[],[[]],{}]",
  '[1,"a",null,true,false,{}]',
  '{"":0}',
  '{"a":{"a":{"a":1}}}',
  '{"a":1,"b":1}',
  '{"a":1,"A":1}',
  '{ "a" : [ 1 , 2 ] , "b" : { } }',
  '{"__proto__":1,"constructor":2,"hasOwnProperty":3}',
  String.raw`"\"\\\/\b\f\n\r\t"`,
  String.raw`"\u0000\u001F\uabCD"`,
  String.raw`"\ud83d\ude00"`,
  String.raw`"\ud800"`,
  String.raw`"\udc00\ud800"`,
  String.raw`{"\ud800":1,"\udc00":2}`,
  String.raw`"\\u0061"`,
  String.raw`["\\", "\"", "a"]`,
  '"\u007f"',
  '"\u2028\u2029\ufeff"',
  '"é✓😀"',
  '"a/b"',
];

const REFUSED = [
  "",
  " ",
  "\ufeff1",
  "\ufeff",
  "\u00a01",
  "\f1",
  "\v1",
  "1 2",
  "1,",
  "{}{}",
  "[]]",
  "{}}",
  "[1]x",
  "nul",
  "nulll",
  "True",
  "tru",
  "undefined",
  "NaN",
  "Infinity",
  "-Infinity",
  "+1",
  "-",
  "--1",
  "-a",
  "01",
  "-01",
  "00",
  "1.",
  ".5",
  "-.5",
  "1.e5",
  "1e",
  "1e+",
  "1e5.5",
  "1E-",
  "0x10",
  "1_000",
  "1a",
  "[",
  "]",
  "[1",
  "[1,",
  "[1,]",
  "[,1]",
  "[,]",
  "[1 2]",
  "[1;2]",
  "[1}",
  "{",
  "}",
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  "{,}",
  '{,"a":1}',
  '{"a" 1}',
  '{"a":1 "b":2}',
  '{"a":1,,"b":2}',
  '{"a"::1}',
  '{"a":}',
  "{a:1}",
  "{'a':1}",
  "{1:1}",
  '{"a":1]',
  '{"a",1}',
  "'a'",
  '"',
  '"a',
  '"a\\"',
  '"\\',
  '"\\"',
  String.raw`"\x41"`,
  String.raw`"\'"`,
  String.raw`"\a"`,
  String.raw`"\U0041"`,
  String.raw`"\u"`,
  String.raw`"\u00"`,
  String.raw`"\u004"`,
  String.raw`"\u004g"`,
  String.raw`"\u 041"`,
  String.raw`"\u+041"`,
  '"\n"',
  '"\t"',
  '"a\r"',
  '"\u0000"',
  '"\u001f"',
  '{"a\n":1}',
  "/**/1",
  "1//",
  "[1] # no",
  "\u0000",
  "1\u0000",
];

describe("which texts are JSON", () => {
  it.each(ACCEPTED)("accepts %j, and reads it as JSON.parse does", (text) => {
    expect(parseJson(text, "value", limits)).toStrictEqual(JSON.parse(text));
    expect((parseJson(text, "raw", limits) as RawJson).text).toBe(text.trim());
  });

  it.each(REFUSED)("refuses %j, opened or kept", (text) => {
    expect(parsedByEngine(text)).toBeUndefined();
    expect(refusalOf(text, "raw").reason).toBe("syntax");
    expect(refusalOf(text, "value").reason).toBe("syntax");
    expect(refusalOf(`{"a":[${text}`, { members: {} }).reason).toBe("syntax");
  });

  it("accepts and refuses cut and changed texts just as JSON.parse does, duplicates apart", () => {
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.nat(3),
      insert: fc.constantFrom("", ...Array.from("{}[],:\"\\ue0-+.1 \n\tx'"), "\u0001", "true", '"a":'),
    });
    fc.assert(
      fc.property(
        fc.json(),
        fc.array(edit, { maxLength: 3 }),
        fc.constantFrom("", " ", "\n"),
        (json, edits, end) => {
          let text = json + end;
          for (const { at, remove, insert } of edits) {
            const position = at % (text.length + 1);
            text = text.slice(0, position) + insert + text.slice(position + remove);
          }
          const expected = parsedByEngine(text);
          let result: { value: unknown } | undefined;
          try {
            result = { value: parseJson(text, "value", { depthMax: 1000 }) };
          } catch (error) {
            if (!(error instanceof JsonSyntaxError)) throw error;
            if (error.reason === "duplicate_member") return;
          }
          expect(result).toStrictEqual(expected);
        },
      ),
      { numRuns: 5000 },
    );
  });
});

describe("values", () => {
  it("reads arbitrary JSON as JSON.parse does, however it is spaced", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, "\t"), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(parseJson(text, "value", { depthMax: 1000 })).toStrictEqual(JSON.parse(text));
      }),
    );
  });

  it("keeps __proto__ as a member of its own", () => {
    const value = parseJson('{"__proto__":{"polluted":1}}', "value", limits) as object;
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    const nested = parseJson('[{"__proto__":null,"a":1}]', { items: "value" }, limits) as object[];
    expect(Object.keys(nested[0]!)).toEqual(["__proto__", "a"]);
  });
});

describe("raw", () => {
  it("keeps order, big numbers, spacing and escapes, without the whitespace around", () => {
    const text = String.raw`{ "b" : 12345678901234567890.10, "a":"\u0041\/" ,"c":[ 1e400 ] }`;
    const raw = parseJson(`\n ${text}\t `, "raw", limits);
    expect(raw).toStrictEqual(new RawJson(text, "object"));
  });

  it.each([
    ["{}", "object"],
    ["[1]", "array"],
    ['"x"', "string"],
    ["-1.50", "number"],
    ["true", "boolean"],
    ["false", "boolean"],
    ["null", "null"],
  ])("says that %s is of kind %s", (text, kind) => {
    expect(parseJson(` ${text} `, "raw", limits)).toEqual({ text, kind });
  });

  it("gives back the text of every item, whatever stands around it", () => {
    fc.assert(
      fc.property(fc.array(fc.json()), fc.constantFrom("", " ", "\r\n\t"), (texts, space) => {
        const text = `[${space}${texts.join(`${space},${space}`)}${space}]`;
        const items = parseJson(text, { items: "raw" }, { depthMax: 1000 }) as RawJson[];
        expect(items.map((item) => item.text)).toEqual(texts);
      }),
    );
  });
});

describe("members, items and values", () => {
  const shape: JsonShape = {
    members: { events: { items: { members: { type: "value", payload: "raw" } } }, cursor: "value" },
  };

  it("reads each listed member by its own shape, in any order, and drops the others", () => {
    const text = '{"x":[{"y":1}],"events":[{"payload":{"n":1.0},"type":"note","z":null},{}],"cursor":7}';
    expect(parseJson(text, shape, limits)).toStrictEqual({
      events: [{ payload: new RawJson('{"n":1.0}', "object"), type: "note" }, {}],
      cursor: 7,
    });
  });

  it("validates what it drops", () => {
    expect(refusalOf('{"x":[01]}', shape).reason).toBe("syntax");
    expect(refusalOf('{"x":{"a":1,"a":2}}', shape).reason).toBe("duplicate_member");
  });

  it("knows a listed member that is spelled with escapes", () => {
    expect(parseJson(String.raw`{"c\u0075rsor":1}`, shape, limits)).toStrictEqual({ cursor: 1 });
  });

  it("reads a map member by member", () => {
    const text = String.raw`{"a":1.0,"\u0062":[],"__proto__":"p","constructor":null}`;
    expect(parseJson(text, { values: "raw" }, limits)).toStrictEqual(
      new Map([
        ["a", new RawJson("1.0", "number")],
        ["b", new RawJson("[]", "array")],
        ["__proto__", new RawJson('"p"', "string")],
        ["constructor", new RawJson("null", "null")],
      ]),
    );
  });

  it.each(['{"a":[1]}', "[1]", '"x"', String.raw`"\n"`, "1", "true", "null"])(
    "gives %s as a plain value where another kind was expected",
    (text) => {
      const value: unknown = JSON.parse(text);
      const isArray = Array.isArray(value);
      const isObject = text.startsWith("{");
      if (!isObject) expect(parseJson(text, { members: { a: "raw" } }, limits)).toStrictEqual(value);
      if (!isObject) expect(parseJson(text, { values: "raw" }, limits)).toStrictEqual(value);
      if (!isArray) expect(parseJson(text, { items: "raw" }, limits)).toStrictEqual(value);
    },
  );

  it("takes __proto__ and constructor for plain member names, listed or not", () => {
    const text = '{"__proto__":{"admin":true},"constructor":1,"a":2}';
    const unlisted = parseJson(text, { members: { a: "value" } }, limits) as Record<string, unknown>;
    expect(Object.keys(unlisted)).toEqual(["a"]);
    expect(unlisted["admin"]).toBeUndefined();
    const members = { ["__proto__"]: "value", constructor: "value" } as const;
    const listed = parseJson(text, { members }, limits) as object;
    expect(Object.keys(listed)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(listed)).toBe(Object.prototype);
  });
});

describe("duplicated member names", () => {
  it.each([
    ['{"a":1,"a":1}', "a"],
    ['{"x":{"a":1,"b":2,"a":3}}', "x.a"],
    ['{"x":[0,{"a":1,"b":{"a":1},"a":3}]}', "x[1].a"],
    [String.raw`{"a":1,"\u0061":2}`, "a"],
    [String.raw`{"\u0061":1,"a":2}`, "a"],
    [String.raw`{"b":0,"\u0061":1,"\u0061":2}`, "a"],
    [String.raw`{"b":0,"\u0061":1,"b":2}`, "b"],
    ['{"":1,"":2}', '[""]'],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
    ['{"two words":1,"two words":2}', '["two words"]'],
  ])("are refused in %s, naming %s", (text, path) => {
    for (const shape of [
      "raw",
      "value",
      { members: {} },
      { members: { x: "raw", a: "raw" } },
    ] satisfies JsonShape[]) {
      expect(refusalOf(text, shape)).toMatchObject({ reason: "duplicate_member", path });
    }
    expect(refusalOf(text, { values: "raw" })).toMatchObject({ reason: "duplicate_member", path });
  });

  it("are found among any number of members, wherever the two stand", () => {
    const spelling = fc.constantFrom(
      (name: string) => JSON.stringify(name),
      (name: string) =>
        `"${Array.from(name)
          .map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
          .join("")}"`,
    );
    const member = fc.tuple(fc.string({ unit: fc.constantFrom("a", "b", "c", "d"), maxLength: 3 }), spelling);
    fc.assert(
      fc.property(fc.array(member, { maxLength: 40 }), (members) => {
        const text = `{${members.map(([name, spell]) => `${spell(name)}:{"a":{}}`).join()}}`;
        const seen = new Set<string>();
        const again = members.map(([name]) => name).find((name) => seen.size === seen.add(name).size);
        if (again === undefined) expect(() => parseJson(text, "raw", limits)).not.toThrow();
        else expect(refusalOf(text)).toMatchObject({ path: again === "" ? '[""]' : again });
      }),
      { numRuns: 2000 },
    );
  });

  it("are found among 100,000 members without comparing each with each", () => {
    const members = Array.from({ length: 100_000 }, (_, index) => `"member${index}":${index}`);
    const value = parseJson(`{${members.join()}}`, "value", limits) as object;
    expect(Object.keys(value)).toHaveLength(100_000);
    expect(refusalOf(`{${members.join()},"member99999":0}`).path).toBe("member99999");
  });
});

describe("depth", () => {
  it("counts nested objects and arrays, opened, kept or dropped", () => {
    const three = '{"a":[{"b":1}]}';
    const shapes: JsonShape[] = [
      "raw",
      "value",
      { members: { a: { items: "value" } } },
      { members: {} },
      { values: "raw" },
    ];
    for (const shape of shapes) {
      expect(() => parseJson(three, shape, { depthMax: 3 })).not.toThrow();
      expect(refusalOf(three, shape, 2)).toMatchObject({ reason: "too_deep", offset: 6, path: "a[0]" });
    }
  });

  it("forgets what has been closed", () => {
    expect(() => parseJson(`[${Array(100).fill("[{}]").join()}]`, "raw", { depthMax: 3 })).not.toThrow();
  });

  it("allows no container at 0", () => {
    expect(parseJson("1", "value", { depthMax: 0 })).toBe(1);
    expect(refusalOf("[]", "raw", 0)).toMatchObject({ reason: "too_deep", path: "" });
  });

  it.each(["[", '{"a":', '[{"a":'])("refuses a megabyte of %s without overflowing the stack", (text) => {
    expect(refusalOf(text.repeat(1_000_000 / text.length), "raw", 64).reason).toBe("too_deep");
    expect(refusalOf(text.repeat(1_000_000 / text.length), "value", 1000).reason).toBe("too_deep");
  });
});

describe("where a text is wrong", () => {
  it.each([
    ["", 0, ""],
    ["x", 0, ""],
    ["[1,2,x]", 5, "[2]"],
    ['{"events":[{},{"payload":{"a b":tru}}]}', 32, 'events[1].payload["a b"]'],
    [String.raw`{"\u0061":[1,"a,b]",{"c":01}]}`, 26, "a[2].c"],
    ['{"a":{"b":1},"c":-}', 18, "c"],
    ['{"a":{"b":[]},x}', 14, ""],
    ['{"a":"\\q"}', 6, "a"],
    ['{"a":"bc', 8, "a"],
    ["{} x", 3, ""],
  ])("%s is wrong at %i, in %j", (text, offset, path) => {
    expect(refusalOf(text)).toMatchObject({ reason: "syntax", offset, path });
  });

  it("is said in a message that stays short, whatever the text", () => {
    const long = `{"${"a".repeat(100_000)}":[`.repeat(10);
    expect(refusalOf(long, "raw", 20).message.length).toBeLessThan(1000);
    expect(refusalOf(`{"${"a".repeat(100_000)}":1,"${"a".repeat(100_000)}":2}`).message.length).toBeLessThan(
      1000,
    );
  });
});
