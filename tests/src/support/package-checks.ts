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

const repository = fileURLToPath(new URL("../../../", import.meta.url));

export interface Bundle {
  readonly text: string;
  /** In bytes. */
  readonly gzipped: number;
  readonly inputs: readonly string[];
}

/** Code as a browser would get it: everything in one file, minified. @param external what the app brings along itself */
export async function bundle(code: string, external: readonly string[] = []): Promise<Bundle> {
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
    external: [...external],
  });
  const text = outputFiles[0]?.text ?? "";
  return { text, gzipped: gzipSync(text, { level: 9 }).length, inputs: Object.keys(metafile.inputs) };
}

/** What npm brings along with a package of ours, however deep, if everything is published. */
export async function installedWith(name: string): Promise<string[]> {
  const path = join(repository, "packages", name, "package.json");
  const { dependencies = {} } = JSON.parse(await readFile(path, "utf8")) as {
    readonly dependencies?: Readonly<Record<string, string>>;
  };
  const own = Object.keys(dependencies).filter((dependency) => dependency.startsWith("@daybook/"));
  const theirs = await Promise.all(
    own.map((dependency) => installedWith(dependency.replace("@daybook/", ""))),
  );
  return [...new Set([...Object.keys(dependencies), ...theirs.flat()])].sort();
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** A package as npm would publish it. @param files some that must be in it */
export function describePackage(name: string, files: readonly string[]): void {
  const pkgDir = join(repository, "packages", name);
  describe(`the package of @daybook/${name}`, () => {
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
      expect(paths).toEqual(expect.arrayContaining(["package.json", "README.md", ...files]));
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
}
