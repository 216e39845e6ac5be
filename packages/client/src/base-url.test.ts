import { afterEach, describe, expect, test, vi } from "vitest";
import { baseUrlOf } from "./base-url.js";

afterEach(() => vi.unstubAllGlobals());

describe("a base URL", () => {
  test.each([
    ["http://127.0.0.1:4000", "http://127.0.0.1:4000"],
    ["https://example.com/daybook//", "https://example.com/daybook"],
    ["http://[::1]:4000/", "http://[::1]:4000"],
  ])("%s is %s", (text, url) => expect(baseUrlOf(text)).toBe(url));

  test.each(["", "localhost:4000", "127.0.0.1:4000", "/daybook", "ws://example.com", "undefined"])(
    "%j is none, and what would be one is said",
    (text) => expect(() => baseUrlOf(text)).toThrow(/http:\/\/127\.0\.0\.1:4000, not ".*"/),
  );

  test("may be relative to the page", () => {
    vi.stubGlobal("location", { href: "https://example.com/chat/?a=1#b" });
    expect(baseUrlOf("/daybook/")).toBe("https://example.com/daybook");
    expect(baseUrlOf("/")).toBe("https://example.com");
    expect(baseUrlOf("http://other:4000")).toBe("http://other:4000");
  });
});
