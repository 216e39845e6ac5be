import { readFileSync } from "node:fs";
import { ERRORS } from "@daybook/protocol";
import { expect, test } from "vitest";

const TEXT = readFileSync(new URL("../../docs/PROTOCOL.md", import.meta.url), "utf8");

test("docs/PROTOCOL.md has each error code once, under its status, with what is true of a retry", () => {
  const section = /^## Errors$([\s\S]*?)^## /m.exec(TEXT)?.[1] ?? "";
  const documented = section
    .split("\n")
    .filter((line) => /^\| \d/.test(line))
    .flatMap((line) => {
      const [, statuses = "", codes = "", retry = ""] = line.split("|").map((cell) => cell.trim());
      return [...codes.matchAll(/`(\w+)`/g)].map(([, code = ""]) => ({ code, statuses, retry }));
    });
  expect(documented.map(({ code }) => code).sort()).toEqual(Object.keys(ERRORS).sort());
  for (const { code, statuses, retry } of documented) {
    const facts = ERRORS[code as keyof typeof ERRORS];
    expect([code, statuses.split(", ")]).toEqual([code, expect.arrayContaining([String(facts.http)])]);
    const kind = {
      never: /^no$/,
      after_reload: /^after reading again$/,
      after_delay: /^after `Retry-After`$/,
    };
    expect([code, retry]).toEqual([code, expect.stringMatching(kind[facts.retry])]);
  }
});
