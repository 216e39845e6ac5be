import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const text = readFileSync(`${repository}docs/INVARIANTS.md`, "utf8");
const rows = text.split("\n").filter((line) => /^\|\s*\d+\s*\|/.test(line));

describe("docs/INVARIANTS.md", () => {
  it("has rows", () => {
    expect(rows.length).toBeGreaterThan(10);
  });

  it.each(rows.map((row) => [row.split("|")[2]?.trim() ?? "", row] as const))(
    "%s: its tests exist",
    (_name, row) => {
      // Each file, and the tests of it that are quoted before the next one.
      const named = [...row.matchAll(/`([^`]+\.ts)`([^`]*)/g)];
      expect(named.length).toBeGreaterThan(0);
      for (const [, file = "", rest = ""] of named) {
        expect(existsSync(repository + file), file).toBe(true);
        const source = readFileSync(repository + file, "utf8");
        for (const [, test] of rest.matchAll(/"([^"]+)"/g)) expect(source).toContain(test);
      }
    },
  );
});
