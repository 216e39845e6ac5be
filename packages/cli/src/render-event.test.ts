import pico from "picocolors";
import { describe, expect, it } from "vitest";
import { readEvent } from "./read-event.js";
import { renderEvent } from "./render-event.js";

const plain = pico.createColors(false);

function rendered(event: { actor?: string; type?: string; payload: string }): string {
  const { actor = "agent:drafter", type = "note", payload } = event;
  const text = `{"seq":1,"actor":${JSON.stringify(actor)},"type":"${type}","payload":${payload}}`;
  return renderEvent(readEvent(text), plain);
}

describe("an event for people", () => {
  it("is the actor without its type, and the text", () => {
    expect(rendered({ payload: '{"text":"Drafting clause 4.2…"}' })).toBe("[drafter] Drafting clause 4.2…");
    expect(rendered({ actor: "user:a:b", payload: '{"text":""}' })).toBe("[a:b] ");
  });

  it("is the type and the payload, compact and exact, when there is no text", () => {
    expect(rendered({ type: "tool.call", payload: '{ "n" : 1.0, "s" : " a\\n b " }' })).toBe(
      '[drafter] tool.call {"n":1.0,"s":" a\\n b "}',
    );
    expect(rendered({ payload: '{"text":7}' })).toBe('[drafter] note {"text":7}');
  });

  it("is the line of what daybook exec recorded", () => {
    expect(rendered({ type: "exec.output", payload: '{"stream":"stderr","line":"oops"}' })).toBe(
      "[drafter] oops",
    );
  });

  it("cannot look like another event, or drive the terminal", () => {
    expect(rendered({ payload: JSON.stringify({ text: "a\n[admin] b\r\u001b[2J\u009b" }) })).toBe(
      "[drafter] a\n  [admin] b\\x0d\\x1b[2J\\x9b",
    );
  });

  it("paints one actor the same each time", () => {
    const paint = pico.createColors(true);
    const event = readEvent('{"seq":1,"actor":"agent:a","type":"t","payload":{"text":"x"}}');
    expect(renderEvent(event, paint)).toContain("\u001b[");
    expect(renderEvent(event, paint)).toBe(renderEvent(event, paint));
  });

  it.each(["", "{}", "[1]", '{"seq":"1","actor":"a","type":"t","payload":{}}'])(
    "is refused when it is %j",
    (text) => {
      expect(() => readEvent(text)).toThrow("not an event");
    },
  );
});
