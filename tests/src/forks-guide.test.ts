import { startServer } from "@daybook/test-kit";
import { expect, test } from "vitest";
import { inOrder, readDocument, snippet } from "./support/doc-snippets.js";

test("docs/guides/forks.md: its lines do what it says", async () => {
  await using server = await startServer();
  const lines = snippet(readDocument("docs/guides/forks.md"), "");
  expect(lines).toHaveLength(8);
  const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_CONFIG_DIR: server.dataDir };
  const outputs = await inOrder(
    lines.map((line) => line.replaceAll("http://127.0.0.1:4000", server.url)),
    env,
  );
  const [, refunded = "", forked, replaced = "", state = "", shown, listed, deleted] = outputs;
  expect([refunded, replaced].map((text) => (JSON.parse(text) as { seq: number }).seq)).toEqual([2, 2]);
  expect(forked).toBe("case-7-replace\n");
  expect(JSON.parse(state)).toMatchObject({ at_seq: 2, state: [{ key: "plan", value: "replace" }] });
  expect(shown).toContain("Refund or replace?");
  expect(listed).toContain("case-7-replace");
  expect(deleted).toBe("case-7 deleted\n");
  expect((await server.call("GET", "/v1/sessions/case-7-replace")).status).toBe(404);
});
