import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** A document of the repository. */
export const readDocument = (path: string): string => readFileSync(repository + path, "utf8");

/** The lines of a document's shell blocks that begin so, without what is said behind them. */
export function snippet(document: string, start: string): string[] {
  const lines = [...document.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block = ""]) =>
    block.trim().split("\n"),
  );
  return lines.filter((line) => line.startsWith(start)).map((line) => line.replace(/\s+# .*$/, ""));
}

/** Runs lines one after the other, as a reader would; answers what each printed. */
export async function inOrder(
  lines: readonly string[],
  env: Record<string, string> = {},
  prepare: (line: string) => Promise<string> = (line) => Promise.resolve(line),
): Promise<string[]> {
  const outputs: string[] = [];
  for (const line of lines) outputs.push(await shell(await prepare(line), env));
  return outputs;
}

async function shell(line: string, env: Record<string, string>): Promise<string> {
  // A follower never ends by itself: two seconds show what it shows.
  const command = line.startsWith("curl -N") ? `timeout 2 ${line} || true` : line;
  const { stdout } = await promisify(execFile)("bash", ["-c", command], {
    cwd: repository,
    env: { ...process.env, ...env },
  });
  return stdout;
}
