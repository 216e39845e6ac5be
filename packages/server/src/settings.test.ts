import { describe, expect, test } from "vitest";
import { readSettings, SETTINGS, WrongSetting } from "./settings.js";

describe("settings", () => {
  test("come from the flag, then the variable, then the default", () => {
    expect(readSettings({ port: "1" }, { DAYBOOK_PORT: "2" }).port).toBe(1);
    expect(readSettings({}, { DAYBOOK_PORT: "2" }).port).toBe(2);
    expect(readSettings({}, {}).port).toBe(4_000);
  });

  test("a variable that is set to nothing counts as not set, as compose files make them", () => {
    const empty = Object.fromEntries(SETTINGS.map(({ env }) => [env, ""]));
    expect(readSettings({}, empty)).toEqual(readSettings({}, {}));
  });

  test("what is wrong is said with the flag or the variable", () => {
    expect(() => readSettings({}, { DAYBOOK_STORE: "paper" })).toThrow(
      new WrongSetting('DAYBOOK_STORE must be one of embedded, memory, not "paper".'),
    );
    expect(() => readSettings({ port: "x" }, { DAYBOOK_PORT: "1" })).toThrow(/^--port must be/);
  });

  test("the public URL loses the slash that paths bring along; the URL of a key set stays as it is", () => {
    const settings = readSettings(
      { publicUrl: "https://d.example/", jwksUrl: "https://idp.example/keys/" },
      {},
    );
    expect([settings.publicUrl, settings.jwksUrl]).toEqual([
      "https://d.example",
      "https://idp.example/keys/",
    ]);
  });

  test("allowed origins are a list; a path in one does no harm", () => {
    const { allowOrigin } = readSettings(
      { allowOrigin: " https://a.example/x , *,, http://localhost:3000" },
      {},
    );
    expect(allowOrigin).toEqual(["https://a.example", "*", "http://localhost:3000"]);
    expect(() => readSettings({ allowOrigin: "a.example" }, {})).toThrow(WrongSetting);
  });
});
