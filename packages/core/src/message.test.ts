import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteLength } from "./state.js";
import { countTokens, decodeMessage, encodeMessage, isMessage } from "./message.js";

const PARTS = '[{"type":"text","text":"hi"}]';

describe("a message", () => {
  it("read back is the same, with the exact texts", () => {
    const message = {
      role: 'a "role" é',
      parts: `[ {"type":"x", "n":1.0} ]`,
      metadata: "{ }",
      tokenCount: 7,
    };
    expect(decodeMessage(encodeMessage(message))).toEqual(message);
  });

  it("may leave out metadata and tokens", () => {
    expect(decodeMessage(`{"parts":${PARTS},"role":"user","more":1}`)).toEqual({
      role: "user",
      parts: PARTS,
      metadata: "{}",
      tokenCount: 0,
    });
  });

  it.each([
    "{}",
    `{"role":"user"}`,
    `{"parts":${PARTS}}`,
    `{"role":"","parts":${PARTS}}`,
    `{"role":null,"parts":${PARTS}}`,
    `{"role":"user","parts":[]}`,
    `{"role":"user","parts":null}`,
    `{"role":"user","parts":{"type":"text"}}`,
    `{"role":"user","parts":["text"]}`,
    `{"role":"user","parts":[{"type":"text"},{"type":1}]}`,
    `{"role":"user","parts":[null]}`,
    `{"role":"user","parts":${PARTS},"metadata":null}`,
    `{"role":"user","parts":${PARTS},"metadata":[]}`,
  ])("is not %s", (payload) => {
    expect(decodeMessage(payload)).toBeUndefined();
    expect(isMessage("message", payload)).toBe(false);
  });

  it("is what the type says, and nothing else", () => {
    const payload = `{"role":"user","parts":${PARTS}}`;
    expect(isMessage("message", payload)).toBe(true);
    expect(isMessage("messages", payload)).toBe(false);
  });

  it("has as many tokens as was said, if that is a count", () => {
    for (const said of [0, 1, Number.MAX_SAFE_INTEGER]) expect(countTokens(PARTS, said)).toBe(said);
    for (const said of [-1, 0.5, "1", null, undefined, true, Number.MAX_SAFE_INTEGER + 1, {}])
      expect(countTokens('[{"type":"t","text":"12345678"}]', said)).toBe(2);
  });

  it("has a quarter of each text's bytes as tokens, rounded down text by text", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1 }), (texts) => {
        const parts = JSON.stringify(texts.map((text) => ({ type: "text", text })));
        const tokens = texts.map((text) => Math.floor(byteLength(text) / 4));
        expect(countTokens(parts, undefined)).toBe(tokens.reduce((sum, one) => sum + one, 0));
      }),
    );
  });
});
