import { writeFile, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { startServer } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import { inOrder, readDocument, snippet } from "./support/doc-snippets.js";

const guide = readDocument("docs/guides/state.md");

describe("docs/guides/state.md", () => {
  it("has lines that do what it says, over HTTP, with the CLI and over gRPC", async () => {
    await using server = await startServer();
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_CONFIG_DIR: server.dataDir };
    const dump = `${server.dataDir}/planner.ndjson`;
    const lines = snippet(guide, "")
      .filter((line) => line.startsWith("curl ") || line.startsWith("npx "))
      .map((line) => line.replaceAll("http://127.0.0.1:4000", server.url).replaceAll("planner.ndjson", dump));
    const [
      created,
      first,
      second,
      atOne,
      history,
      sessionDiff,
      one,
      two,
      keys,
      then,
      versions,
      diff,
      replay,
      ...moved
    ] = await inOrder(lines, env);
    expect(created).toContain('"id":"trip"');
    expect(first).toContain('"seq":1');
    expect(second).toContain('"seq":2');
    expect(atOne).toContain('"value":"by train"');
    expect(history).toContain('"value":"by plane"');
    expect(sessionDiff).toBe('- budget v1 900\n~ plan\n    v1 "by train"\n    v2 "by plane"\n');
    expect([one, two].map((text) => (JSON.parse(text ?? "") as { commit_ts: number }).commit_ts)).toEqual([
      1, 2,
    ]);
    expect(keys).toBe("budget\n");
    expect(then).toBe('{\n  "eur": 900\n}\n');
    expect(versions).toBe('v1  commit 1  {"eur":900}\nv2  commit 2  {"eur":700}\n');
    expect(diff).toContain('~ budget\n    v1 {"eur":900}\n    v2 {"eur":700}\n');
    expect(replay).toContain("commit 2");
    expect(moved[1]).toBe("2 records of planner-2 are restored\n");
    expect(moved[2]).toContain("planner-2 in default, as of commit 3: 2 keys, 2 versions");
    expect(moved).toHaveLength(3);
    const [, code = ""] = /```js\n(.*?)```/s.exec(guide) ?? [];
    // Beside this test, where the packages that it imports are found.
    const script = fileURLToPath(new URL(`guide-${process.pid}.mjs`, import.meta.url));
    await writeFile(script, code.replace("localhost:50051", server.grpcAddress));
    try {
      const [printed] = await inOrder([`node ${script}`]);
      expect(printed).toBe("commit 4: version 3, 500 EUR\n");
    } finally {
      await rm(script);
    }
  });
});
