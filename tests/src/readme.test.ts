import { startServer } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import { inOrder, readDocument, snippet } from "./support/doc-snippets.js";

const readme = readDocument("README.md");

describe("README.md", () => {
  it("opens with exactly two commands, to run and to test, and CI runs the second", () => {
    const commands = [...readme.matchAll(/```sh\n(npm ci && .*)\n```/g)].map(([, line]) => line);
    expect(commands).toEqual(["npm ci && npm start", "npm ci && npm test"]);
    expect(readDocument(".ci/run").trim().split("\n").at(-1)).toBe("npm ci && npm test");
  });

  it("has three curl lines that create, append and follow as they stand there", async () => {
    await using server = await startServer();
    const lines = snippet(readme, "curl ").map((line) =>
      line.replaceAll("http://127.0.0.1:4000", server.url),
    );
    expect(lines).toHaveLength(3);
    const [created = "", appended = "", followed = ""] = await inOrder(lines);
    expect(JSON.parse(created)).toMatchObject({ id: "demo", last_seq: 0 });
    expect(JSON.parse(appended)).toMatchObject({ seq: 1, deduped: false });
    expect(followed).toContain('"payload":{"text":"hello"}');
  });

  it("has commands of the CLI that do what they say", async () => {
    await using server = await startServer();
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_CONFIG_DIR: server.dataDir };
    const lines = snippet(readme, "npx daybook ").filter((line) => !line.includes("--help"));
    const [ran = "", shown = "", listed = "", checked = ""] = await inOrder(lines, env, async (line) => {
      if (!line.includes("check")) return line;
      await server.close();
      return line.replace("./daybook-data", server.dataDir);
    });
    expect(ran).toContain("engine-embedded");
    expect(shown).toContain("engine-embedded");
    expect(listed).toContain("listing");
    expect(checked).toMatch(/event/);
  });
});
