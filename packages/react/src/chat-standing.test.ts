import { beginning, ENDING, words } from "@daybook/test-kit";
import { describe, expect, test } from "vitest";
import { ChatLog } from "./chat-log.js";
import { READERS, Script } from "./session-events.test.support.js";

const read = READERS[1]![1];

/** The status after each event, as far as it changes. */
function course(script: Script): string[] {
  const log = new ChatLog(read);
  const course = ["ready"];
  for (const event of script.events) {
    log.push(event);
    const { status, error } = log.standing;
    const said = error === undefined ? status : `${status} ${error.message}`;
    if (said !== course.at(-1)) course.push(said);
  }
  return course;
}

const [a, b] = [{ actor: "agent:a" }, { actor: "agent:b" }];
const one = [...beginning("m1"), ...words("one two")];
const two = [...beginning("m2"), ...words("uno due")];

describe("the status of a chat", () => {
  test("is submitted until a chunk comes, streaming until the end, then ready", () => {
    expect(course(new Script().says("u1", "Hi").answers("a1", "Hello there."))).toEqual([
      "ready",
      "submitted",
      "streaming",
      "ready",
    ]);
  });

  test("stays ready for greetings and system messages", () => {
    const greeting = { id: "g", role: "assistant", parts: [{ type: "text", text: "Hello!" }] } as const;
    const script = new Script().message({ ...greeting, parts: [...greeting.parts] }, "agent:a");
    expect(course(script.message({ id: "s", role: "system" }))).toEqual(["ready"]);
  });

  test("is streaming as long as one of two agents writes", () => {
    const script = new Script().says("u1", "Hi").chunks(one, a).chunks(two, b).chunks(ENDING, b);
    expect(course(script)).toEqual(["ready", "submitted", "streaming"]);
    expect(course(script.chunks(ENDING, a))).toEqual(["ready", "submitted", "streaming", "ready"]);
  });

  test("says error when an answer ends with one, until the next question", () => {
    const script = new Script().says("u1", "Hi").chunks(one).chunk({ type: "error", errorText: "Tired." });
    expect(course(script)).toEqual(["ready", "submitted", "streaming", "error Tired."]);
    script.says("u2", "Again").answers("a2", "Now.");
    expect(course(script).slice(4)).toEqual(["submitted", "streaming", "ready"]);
  });

  test("says error when the error is all there is of the answer", () => {
    const script = new Script().says("u1", "Hi").chunk({ type: "error", errorText: "No." });
    expect(course(script)).toEqual(["ready", "submitted", "error No."]);
  });

  test("an answer whose writer is gone does not count after the next question", () => {
    const script = new Script().says("u1", "Hi").chunks(one, a).says("u2", "Anybody?");
    expect(course(script)).toEqual(["ready", "submitted", "streaming", "submitted"]);
    expect(course(script.chunks([...two, ...ENDING], b)).slice(4)).toEqual(["streaming", "ready"]);
  });

  test("an answer that goes on over the next question does", () => {
    const script = new Script().says("u1", "Hi").chunks(one).says("u2", "And?").chunks(words("three"));
    expect(course(script)).toEqual(["ready", "submitted", "streaming", "submitted", "streaming"]);
    expect(course(script.chunks(ENDING)).at(-1)).toBe("ready");
  });

  test("is ready once somebody stopped it, whether the agent says so or not", () => {
    const script = new Script().says("u1", "Hi").chunks(one).stop();
    expect(course(script)).toEqual(["ready", "submitted", "streaming", "ready"]);
    expect(course(script.chunk({ type: "abort" }))).toHaveLength(4);
    expect(course(new Script().says("u1", "Hi").stop())).toEqual(["ready", "submitted", "ready"]);
    expect(course(script.says("u2", "Now").chunks(two)).slice(4)).toEqual(["submitted", "streaming"]);
  });
});
