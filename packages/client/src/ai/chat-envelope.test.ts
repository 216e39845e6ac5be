import { describe, expect, test } from "vitest";
import { chunkOf, isEnd, isStop, userMessageOf, writerOf } from "./index.js";
import type { SessionEvent } from "../wire.js";

const event = (type: string, payload: Readonly<Record<string, unknown>>, more: object = {}): SessionEvent =>
  ({ seq: 7, actor: "user:alice", producer_id: "p", type, payload, ...more }) as SessionEvent;
const user = (message: unknown, kind = "chat.user.message"): SessionEvent =>
  event("chat.user.message", { kind, message });
const chunk = (one: unknown, kind = "chat.assistant.chunk"): SessionEvent =>
  event("chat.assistant.chunk", { kind, chunk: one });
const hello = { id: "m", role: "user", parts: [{ type: "text", text: "Hello" }], tint: "blue" };

describe("what an event means in a chat", () => {
  test("a message is the very object that was appended, unknown members and all", () => {
    const one = user(hello);
    expect(userMessageOf(one)).toBe(one.payload["message"]);
    for (const role of ["system", "user", "assistant"])
      expect(userMessageOf(user({ ...hello, role }))).toMatchObject({ role });
  });

  test("a message without an id, or with an empty one, gets one by its seq", () => {
    const { id: _none, ...nameless } = hello;
    for (const message of [nameless, { ...hello, id: "" }, { ...hello, id: 4 }, { ...hello, id: null }])
      expect(userMessageOf(user(message))).toEqual({ ...hello, id: "seq-7" });
  });

  test.each([
    ["another kind", user(hello, "chat.message")],
    ["no kind", event("chat.user.message", { message: hello })],
    ["another type", event("note", { kind: "chat.user.message", message: hello })],
    ["no message", event("chat.user.message", { kind: "chat.user.message" })],
    ["null", user(null)],
    ["a text", user("Hello")],
    ["a role that there is none of", user({ ...hello, role: "robot" })],
    ["no parts", user({ id: "m", role: "user" })],
    ["parts that are no list", user({ ...hello, parts: "Hello" })],
    ["a chunk", chunk({ type: "start" })],
  ])("%s is no message", (_, one) => expect(userMessageOf(one)).toBeUndefined());

  test("a chunk is the very object that was appended", () => {
    const one = chunk({ type: "text-delta", id: "t", delta: "Hel", more: 1 });
    expect(chunkOf(one)).toBe(one.payload["chunk"]);
  });

  test.each([
    ["another kind", chunk({ type: "start" }, "chunk")],
    ["another type", event("note", { kind: "chat.assistant.chunk", chunk: { type: "start" } })],
    ["none", event("chat.assistant.chunk", { kind: "chat.assistant.chunk" })],
    ["a text", chunk("start")],
    ["null", chunk(null)],
    ["one without a type", chunk({})],
    ["one whose type is no text", chunk({ type: 1 })],
    ["a message", user(hello)],
  ])("%s is no chunk", (_, one) => expect(chunkOf(one)).toBeUndefined());

  test("finish, abort and error end a message", () => {
    const types = ["start", "finish", "abort", "error", "text-end", "finish-step", "toString"];
    expect(types.filter((type) => isEnd({ type }))).toEqual(["finish", "abort", "error"]);
  });

  test("a stop is everybody's, or one actor's", () => {
    const stop = (payload: object): SessionEvent => event("chat.stop", { kind: "chat.stop", ...payload });
    expect([isStop(stop({})), isStop(stop({}), "agent:a")]).toEqual([true, true]);
    expect(isStop(stop({ actor: "agent:a" }))).toBe(true);
    expect(isStop(stop({ actor: "agent:a" }), "agent:a")).toBe(true);
    expect(isStop(stop({ actor: "agent:a" }), "agent:b")).toBe(false);
    expect(isStop(event("chat.stop", {}))).toBe(false);
    expect(isStop(event("note", { kind: "chat.stop" }))).toBe(false);
  });

  test("writers are told apart by actor and by producer, whatever is in their names", () => {
    const named = (actor: string, producer_id: string): string =>
      writerOf(event("note", {}, { actor, producer_id }));
    const writers = [
      named("agent:a", "p"),
      named("agent:a", "q"),
      named("agent:b", "p"),
      named("agent:a,", "p"),
    ];
    expect(new Set(writers).size).toBe(4);
    expect(named("agent:a", "p")).toBe(writers[0]);
  });
});
