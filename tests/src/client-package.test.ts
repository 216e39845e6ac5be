import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { build } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const pkgDir = join(repository, "packages/client");

/** As a browser would get it: everything in one file, minified. */
async function bundle(
  code: string,
): Promise<{ readonly text: string; readonly gzipped: number; readonly inputs: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: join(repository, "tests") },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    // A built-in module of Node would not be found.
    platform: "browser",
    target: "es2022",
    logLevel: "silent",
  });
  const text = outputFiles[0]?.text ?? "";
  return { text, gzipped: gzipSync(text, { level: 9 }).length, inputs: Object.keys(metafile.inputs) };
}

const KIB = 1024;

describe("the bundle of @daybook/client", () => {
  test("is under 20 KiB gzipped, socket and all", async () => {
    const { gzipped, inputs } = await bundle(`export * from "@daybook/client";`);
    expect(gzipped).toBeLessThan(20 * KIB);
    // Of the protocol only the error table: no schemas, nobody else's code.
    const outside = inputs.filter((path) => !path.includes("packages/client/dist/") && path !== "<stdin>");
    expect(outside.map((path) => path.replace(/^.*packages\//, ""))).toEqual(["protocol/dist/errors.js"]);
  });

  test("leaves out what is not used", async () => {
    const { gzipped, text } = await bundle(
      `export { DaybookError, localStorageStore } from "@daybook/client";`,
    );
    expect(gzipped).toBeLessThan(2 * KIB);
    expect(text).not.toContain("phx_join");
  });

  test.each(["ai", "conversations"])("with /%s is under 25 KiB, and runs in browsers too", async (path) => {
    const { gzipped } = await bundle(
      `export * from "@daybook/client"; export * as more from "@daybook/client/${path}";`,
    );
    expect(gzipped).toBeLessThan(25 * KIB);
  });
});

describe("the package of @daybook/client", () => {
  interface Packed {
    readonly filename: string;
    readonly files: readonly { readonly path: string }[];
  }
  let folder: string;
  let packed: Packed;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "daybook-pack-"));
    const { stdout } = await promisify(execFile)("npm", ["pack", "--json", "--pack-destination", folder], {
      cwd: pkgDir,
    });
    packed = (JSON.parse(stdout) as [Packed])[0];
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("holds what is needed and no tests", () => {
    const paths = packed.files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        "package.json",
        "README.md",
        "dist/index.js",
        "dist/index.d.ts",
        "dist/ai/index.js",
      ]),
    );
    expect(
      paths.filter((path) => !/^(package\.json|README\.md|(dist|src)\/.*\.(js|d\.ts|map|ts))$/.test(path)),
    ).toEqual([]);
    expect(paths.filter((path) => path.includes(".test."))).toEqual([]);
  });

  test("is found and typed right by every way of resolving that knows ES modules", async () => {
    const tarball = createPackageFromTarballData(await readFile(join(folder, packed.filename)));
    const checked = await checkPackage(tarball);
    const problems = checked.types === false ? ["there are no types"] : checked.problems;
    // An ES module is what it is; who requires it needs a Node that can, and resolvers from before exports find nothing.
    const known = ["CJSResolvesToESM", "NoResolution"];
    const isKnown = (problem: (typeof problems)[number]): boolean =>
      typeof problem !== "string" &&
      known.includes(problem.kind) &&
      "resolutionKind" in problem &&
      (problem.kind === "CJSResolvesToESM" || problem.resolutionKind === "node10");
    expect(problems.filter((problem) => !isKnown(problem))).toEqual([]);
  });

  test("has nothing for publint to say", async () => {
    const { messages, pkg } = await publint({ pkgDir, strict: true, level: "suggestion" });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });
});
