import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startServer } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(`${repository}README.md`, "utf8");

/** The lines of a shell block that begin so. */
function snippet(start: string): string[] {
  const lines = [...readme.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = ""]) =>
    block.trim().split("\n"),
  );
  return lines.filter((line) => line.startsWith(start)).map((line) => line.replace(/\s+# .*$/, ""));
}

async function shell(line: string, env: Record<string, string> = {}): Promise<string> {
  // A follower never ends by itself: two seconds show what it shows.
  const command = line.startsWith("curl -N") ? `timeout 2 ${line} || true` : line;
  const { stdout } = await promisify(execFile)("bash", ["-c", command], {
    cwd: repository,
    env: { ...process.env, ...env },
  });
  return stdout;
}

describe("README.md", () => {
  it("opens with exactly two commands, to run and to test, and CI runs the second", () => {
    const commands = [...readme.matchAll(/```sh\n(npm ci && .*)\n```/g)].map(([, line]) => line);
    expect(commands).toEqual(["npm ci && npm start", "npm ci && npm test"]);
    expect(readFileSync(`${repository}.ci/run`, "utf8").trim().split("\n").at(-1)).toBe("npm ci && npm test");
  });

  it("has three curl lines that create, append and follow as they stand there", async () => {
    await using server = await startServer();
    const lines = snippet("curl ").map((line) => line.replaceAll("http://127.0.0.1:4000", server.url));
    expect(lines).toHaveLength(3);
    const [created = "", appended = "", followed = ""] = await inOrder(lines);
    expect(JSON.parse(created)).toMatchObject({ id: "demo", last_seq: 0 });
    expect(JSON.parse(appended)).toMatchObject({ seq: 1, deduped: false });
    expect(followed).toContain('"payload":{"text":"hello"}');
  });

  it("has commands of the CLI that do what they say", async () => {
    await using server = await startServer();
    const env = { DAYBOOK_BASE_URL: server.url, DAYBOOK_CONFIG_DIR: server.dataDir };
    const lines = snippet("npx daybook ").filter((line) => !line.includes("--help"));
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

async function inOrder(
  lines: readonly string[],
  env: Record<string, string> = {},
  prepare: (line: string) => Promise<string> = (line) => Promise.resolve(line),
): Promise<string[]> {
  const outputs: string[] = [];
  for (const line of lines) outputs.push(await shell(await prepare(line), env));
  return outputs;
}
