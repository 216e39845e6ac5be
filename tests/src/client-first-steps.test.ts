import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eventually, startServer } from "@daybook/test-kit";
import { afterAll, beforeAll, test } from "vitest";
import { inOrder, readDocument, snippet } from "./support/doc-snippets.js";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

/** An empty folder in which somebody has installed the packages. Those from elsewhere are this repository's own. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "daybook-first-"));
  const modules = join(folder, "node_modules");
  await mkdir(modules);
  await run(
    "npm",
    ["pack", "-w", "packages/protocol", "-w", "packages/client", "--pack-destination", folder],
    {
      cwd: repository,
    },
  );
  for (const tarball of (await readdir(folder)).filter((name) => name.endsWith(".tgz"))) {
    const into = join(modules, tarball.replace(/^daybook-(\w+)-.*$/, "@daybook/$1"));
    await mkdir(into, { recursive: true });
    await run("tar", ["-xzf", join(folder, tarball), "-C", into, "--strip-components=1"]);
  }
  for (const name of ["ws", "typebox"])
    await symlink(join(repository, "node_modules", name), join(modules, name));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the SDK's README leads from an installed package to a live tail, as it stands there", async () => {
  await using server = await startServer();
  const readme = readDocument("packages/client/README.md").replaceAll("http://127.0.0.1:4000", server.url);
  const blocks = [...readme.matchAll(/```(ts|text)\n(.*?)```/gs)].map(([, , block = ""]) => block);
  const [code = "", shown = ""] = blocks;
  await writeFile(join(folder, "first.mjs"), code);

  const follow = (): Disposable & { readonly lines: () => string } => {
    const child = spawn(process.execPath, ["first.mjs"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let lines = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (lines += text));
    return { lines: () => lines, [Symbol.dispose]: () => void child.kill() };
  };
  using first = follow();
  await eventually("it shows what it says", () => first.lines() === shown);
  await inOrder(snippet(readme, "curl "));
  const live = "3 service:default { text: 'From outside' }\n";
  await eventually("what others append is there", () => first.lines() === shown + live);

  using second = follow();
  const again = shown.replace("1 ", "4 ").replace("2 ", "5 ");
  await eventually("first what was, then what is new", () => second.lines() === shown + live + again);
});
