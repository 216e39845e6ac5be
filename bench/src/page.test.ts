import { expect, test } from "vitest";
import { intoPage } from "./page.js";

const PAGE = `# Figures

<!-- bench: one -->
old
<!-- end -->

Between.

<!-- bench: two -->
<!-- end -->
`;

test("a table takes the place of the one before, and nothing else changes", () => {
  const [page, homeless] = intoPage(PAGE, [{ scenario: "one", text: "1 event\n" }], "by a command");
  expect(homeless).toEqual([]);
  expect(page).toBe(PAGE.replace("old\n", "\n```text\n1 event\n\nby a command\n```\n\n"));
  expect(intoPage(page, [{ scenario: "one", text: "1 event\n" }], "by a command")[0]).toBe(page);
});

test("a picture is shown below its table", () => {
  const [page] = intoPage(PAGE, [{ scenario: "two", text: "2", plot: "<svg/>" }], "by a command");
  expect(page).toContain("```\n\n![two](plots/two.svg)\n\n<!-- end -->");
});

test("a scenario without a place is told", () => {
  const [page, homeless] = intoPage(PAGE, [{ scenario: "three", text: "3" }], "by a command");
  expect([page, homeless]).toEqual([PAGE, ["three"]]);
});
