import { AppendMany, AppendOne, CreateSession } from "@daybook/protocol/schemas";
import { Type } from "typebox";
import type { TSchema } from "typebox";
import { Compile } from "typebox/schema";
import { describe, expect, it } from "vitest";
import { firstFault } from "./first-fault.js";

const said = (schema: TSchema, value: unknown): string => {
  const { place, why } = firstFault(Compile(schema).Errors(value)[1]);
  return `${place} ${why}`.trim();
};
const object = { kind: "object" };
const event = { type: "t", payload: object, producer_id: "p", producer_seq: 1 };

describe("what is wrong with a body is said in words", () => {
  it.each([
    ["type is missing, and so are payload, producer_id, producer_seq", AppendOne, {}],
    ["producer_seq is missing", AppendOne, { type: "t", payload: object, producer_id: "p" }],
    ["must be an object", AppendOne, []],
    ["type must not be empty", AppendOne, { ...event, type: "" }],
    ["type must be at most 256 characters", AppendOne, { ...event, type: "t".repeat(257) }],
    ["type must be a string", AppendOne, { ...event, type: 1 }],
    ["producer_seq must be a whole number", AppendOne, { ...event, producer_seq: 1.5 }],
    ["producer_seq must be at least 1", AppendOne, { ...event, producer_seq: 0 }],
    ["expected_seq must be at most 9007199254740991", AppendOne, { ...event, expected_seq: 2 ** 60 }],
    ["idempotency_key must be a string or null", AppendOne, { ...event, idempotency_key: 1 }],
    ["payload must be a JSON object", AppendOne, { ...event, payload: { kind: "array" } }],
    ["events must not be empty", AppendMany, { events: [] }],
    ["events must be a list", AppendMany, { events: {} }],
    ["events[1] must be an object", AppendMany, { events: [event, null] }],
    ["events[0].type must be a string", AppendMany, { events: [{ ...event, type: undefined }] }],
    ["title must be a string or null", CreateSession, { title: 5 }],
    ["who must be one of user, agent", Type.Object({ who: Type.Enum(["user", "agent"]) }), { who: "robot" }],
    ["a/b must be true or false", Type.Object({ "a/b": Type.Boolean() }), { "a/b": 1 }],
  ])("%s", (sentence, schema, value) => {
    expect(said(schema, value)).toBe(sentence);
  });
});
