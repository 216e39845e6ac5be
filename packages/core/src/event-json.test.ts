import { RawJson } from "@daybook/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeEvent, encodeEvent, type NewEvent, sameContent } from "./event-json.js";
import { readStateChange } from "./state.js";

const AT = "2026-01-02T03:04:05.678Z";
const EVENT: NewEvent = {
  type: "chat.user.message",
  actor: "agent:drafter",
  producer: { id: "p", seq: 1 },
  payload: '{"text":"hello"}',
};
const FULL: NewEvent = {
  ...EVENT,
  source: "web",
  metadata: '{"m":1}',
  refs: '{"to_seq":1}',
  idempotencyKey: "key",
  state: readStateChange(new RawJson('{"set":{"k":1}}', "object")),
};

describe("an event's stored text", () => {
  it("has every member a client relies on, also when it sent none of the optional ones", () => {
    expect(JSON.parse(encodeEvent(EVENT, 7, AT))).toEqual({
      seq: 7,
      cursor: 7,
      inserted_at: AT,
      type: "chat.user.message",
      actor: "agent:drafter",
      producer_id: "p",
      producer_seq: 1,
      idempotency_key: null,
      metadata: {},
      refs: {},
      payload: { text: "hello" },
    });
  });

  it("keeps the exact text of payload, metadata, refs and state", () => {
    const odd = '{ "b" : 1.0,"a":9007199254740993, "__proto__" : { "x":1 }, "u":"\\u00e9" }';
    const json = encodeEvent({ ...EVENT, payload: odd, metadata: odd, refs: odd }, 1, AT);
    const stored = decodeEvent(json);
    expect([stored.payload.text, stored.metadata.text, stored.refs.text]).toEqual([odd, odd, odd]);
    expect(json.split(odd)).toHaveLength(4);
  });

  it("reads back whatever names it was given", () => {
    const names = fc.string({ unit: "binary", minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(names, names, names, names, names, (type, actor, source, id, idempotencyKey) => {
        const event = { ...EVENT, type, actor, source, idempotencyKey, producer: { id, seq: 3 } };
        expect(decodeEvent(encodeEvent(event, 1, AT))).toMatchObject({
          type,
          actor,
          source,
          idempotency_key: idempotencyKey,
          producer_id: id,
          producer_seq: 3,
        });
      }),
    );
  });
});

describe("the same content", () => {
  it("is an event compared with its own text", () => {
    expect(sameContent(encodeEvent(FULL, 1, AT), FULL)).toBe(true);
    expect(sameContent(encodeEvent(EVENT, 1, AT), EVENT)).toBe(true);
  });

  it("does not depend on seq and time", () => {
    expect(sameContent(encodeEvent(FULL, 99, "2030-01-01T00:00:00.000Z"), FULL)).toBe(true);
  });

  it("takes an empty object for one that was left out", () => {
    expect(sameContent(encodeEvent(EVENT, 1, AT), { ...EVENT, metadata: "{}", refs: "{ }" })).toBe(true);
    expect(sameContent(encodeEvent({ ...EVENT, metadata: "{}" }, 1, AT), EVENT)).toBe(true);
  });

  it.each<[string, Partial<NewEvent>]>([
    ["type", { type: "x" }],
    ["actor", { actor: "user:x" }],
    ["source", { source: "x" }],
    ["payload", { payload: '{"text":"hello!"}' }],
    ["metadata", { metadata: '{"m":2}' }],
    ["refs", { refs: '{"to_seq":2}' }],
    ["idempotency_key", { idempotencyKey: "x" }],
    ["state", { state: readStateChange(new RawJson('{"set":{"k":2}}', "object")) }],
  ])("is not there when %s differs", (_member, other) => {
    expect(sameContent(encodeEvent(FULL, 1, AT), { ...FULL, ...other })).toBe(false);
  });

  it("tells numbers apart that JavaScript cannot", () => {
    const stored = encodeEvent({ ...EVENT, payload: '{"n":9007199254740993}' }, 1, AT);
    expect(sameContent(stored, { ...EVENT, payload: '{"n":9007199254740992}' })).toBe(false);
    expect(sameContent(stored, { ...EVENT, payload: '{"n":9007199254740993.0}' })).toBe(true);
  });

  it("holds for any payload with its members in any order", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), (payload) => {
        const reversed = Object.fromEntries(Object.entries(payload).reverse());
        const stored = encodeEvent({ ...EVENT, payload: JSON.stringify(payload) }, 1, AT);
        expect(sameContent(stored, { ...EVENT, payload: JSON.stringify(reversed, null, 2) })).toBe(true);
      }),
    );
  });
});
