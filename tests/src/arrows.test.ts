import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

/** What each package may import of the others. The order is the map of DESIGN.md, from the inside out. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  core: ["protocol"],
  engine: ["protocol", "core"],
  views: ["protocol", "core", "engine"],
  "engine-embedded": ["protocol", "core", "engine", "views"],
  server: ["protocol", "core", "engine", "views", "engine-embedded"],
  client: ["protocol"],
  react: ["client"],
  cli: ["protocol", "server"],
  "test-kit": ["protocol", "core", "engine", "views", "engine-embedded", "server", "cli"],
};

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Import {
  /** The importing file, from the repository's root. */
  readonly file: string;
  readonly from: string;
  /** Nothing of it is left once compiled. */
  readonly typesOnly: boolean;
}

interface Source {
  readonly file: string;
  readonly package: string;
  readonly isTest: boolean;
  readonly code: string;
  readonly imports: readonly Import[];
}

const IMPORT =
  /^\s*(?:import|export)\s+(type\s+)?((?:[\w*$\s,]|\{[^}]*\})*?)\s*from\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gm;

function importsOf(file: string, code: string): Import[] {
  return [...code.matchAll(IMPORT)].map(([, type, clause = "", from, bare, dynamic]) => ({
    file,
    from: from ?? bare ?? dynamic ?? "",
    typesOnly: type !== undefined || namesOnlyTypes(clause),
  }));
}

/** `{ type A, type B }`: every name is a type. */
function namesOnlyTypes(clause: string): boolean {
  const names = /^\{([^}]*)\}$/.exec(clause.trim())?.[1];
  if (names === undefined) return false;
  return names
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
    .every((name) => name.startsWith("type "));
}

/** Comments are no code; strings are left as they are. */
function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
}

function readSources(): Source[] {
  const files = Object.keys(ARROWS).flatMap((name) =>
    readdirSync(join(ROOT, "packages", name, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.tsx?$/.test(file))
      .map((file) => `packages/${name}/src/${file}`),
  );
  return files.map((file) => {
    const code = withoutComments(readFileSync(join(ROOT, file), "utf8"));
    return {
      file,
      package: file.split("/")[1] ?? "",
      // The engine's contract is a suite for others to run: it counts as tests.
      isTest: /\.test(\.support)?\.tsx?$/.test(file) || file.includes("/contract/"),
      code,
      imports: importsOf(file, code),
    };
  });
}

const sources = readSources();
const shipped = sources.filter(({ isTest }) => !isTest);
const shown = ({ file, from }: Import): string => `${file} imports ${from}`;
const packageOf = (from: string): string | undefined => /^@daybook\/([^/]+)/.exec(from)?.[1];

describe("import arrows", () => {
  test("every package is on the map, and the sources were read", () => {
    expect(readdirSync(join(ROOT, "packages")).sort()).toEqual(Object.keys(ARROWS).sort());
    expect(sources.length).toBeGreaterThan(100);
    expect(sources.flatMap(({ imports }) => imports).length).toBeGreaterThan(400);
  });

  test("examples use what anybody may: the client and its React hooks, by their doors", () => {
    const folder = join(ROOT, "examples");
    const imports = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => /\/src\/.*\.tsx?$/.test(file) && !file.includes("node_modules"))
      .flatMap((file) =>
        importsOf(`examples/${file}`, withoutComments(readFileSync(join(folder, file), "utf8"))),
      );
    expect(imports.length).toBeGreaterThan(10);
    const wrong = imports.filter(({ from }) => {
      const imported = packageOf(from);
      const isInside = imported !== undefined && !["client", "react"].includes(imported);
      return isInside || /^@daybook\/[^/]+\/(src|dist)\//.test(from) || /^(\.\.\/){2}/.test(from);
    });
    expect(wrong.map(shown)).toEqual([]);
  });

  test("imports are found in every spelling", () => {
    const code = `
import a from "a";
import b, { type C } from "b";
import * as d from "d";
import type { E } from "e";
import { type F, type G } from "f";
import {
  h,
  type I,
} from "h";
export * from "j";
export type { K } from "k";
export { l, type M } from "l";
import "n";
const o = await import("o");`;
    const found = importsOf("x.ts", code).map(({ from, typesOnly }) => (typesOnly ? `type ${from}` : from));
    expect(found).toEqual(["a", "b", "d", "type e", "type f", "h", "j", "type k", "l", "n", "o"]);
  });

  test("packages import only what the map lets them", () => {
    const wrong = shipped.flatMap(({ package: importer, imports }) =>
      imports.filter(({ from }) => {
        const imported = packageOf(from);
        return imported !== undefined && ARROWS[importer]?.includes(imported) !== true;
      }),
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  test("tests inside packages import what their package may, the package itself and the test kit", () => {
    const wrong = sources
      .filter(({ isTest }) => isTest)
      .flatMap(({ package: importer, imports }) =>
        imports.filter(({ from }) => {
          const imported = packageOf(from);
          const may = [...(ARROWS[importer] ?? []), importer, "test-kit"];
          return imported !== undefined && !may.includes(imported);
        }),
      );
    expect(wrong.map(shown)).toEqual([]);
  });

  test("nothing that ships imports the test kit, or anybody's tests", () => {
    const wrong = shipped
      .filter((source) => source.package !== "test-kit")
      .flatMap(({ imports }) => imports)
      .filter(
        ({ from }) =>
          packageOf(from) === "test-kit" || /\.test(\.support)?\.js$|\/contract(\/|$)|^vitest$/.test(from),
      );
    expect(wrong.map(shown)).toEqual([]);
  });

  test("no file reaches into another package past its door", () => {
    const wrong = sources.flatMap(({ file, package: importer, imports }) =>
      imports.filter(({ from }) => {
        if (!from.startsWith(".")) return /^@daybook\/[^/]+\/(src|dist)\//.test(from);
        return !relative(`packages/${importer}/src`, join(dirname(file), from)).match(/^[^.]/);
      }),
    );
    expect(wrong.map(shown)).toEqual([]);
  });

  test("package.json names just what the sources import", () => {
    for (const name of Object.keys(ARROWS)) {
      // What the app brings along counts as well: there must be one React, and one AI SDK, in it.
      const { dependencies: own = {}, peerDependencies: peers = {} } = JSON.parse(
        readFileSync(join(ROOT, "packages", name, "package.json"), "utf8"),
      ) as { dependencies?: Record<string, string>; peerDependencies?: Record<string, string> };
      const dependencies = { ...own, ...peers };
      const imported = shipped
        .filter((source) => source.package === name)
        .flatMap(({ imports }) => imports.map(({ from }) => from))
        .filter((from) => !from.startsWith(".") && !from.startsWith("node:"))
        .map((from) =>
          from.startsWith("@") ? from.split("/").slice(0, 2).join("/") : (from.split("/")[0] ?? ""),
        );
      expect(Object.keys(dependencies), name).toEqual(expect.arrayContaining([...new Set(imported)]));
      const arrows = Object.keys(dependencies).flatMap((dependency) => packageOf(dependency) ?? []);
      expect(ARROWS[name], name).toEqual(expect.arrayContaining(arrows));
    }
  });

  test("protocol and core use nothing of Node, no clock and no chance", () => {
    const inside = shipped.filter((source) => ["protocol", "core"].includes(source.package));
    const imports = inside.flatMap((source) => source.imports);
    expect(imports.filter(({ from }) => from.startsWith("node:")).map(shown)).toEqual([]);
    const impure =
      /\bDate\.now\b|\bMath\.random\b|\bnew Date\(\)|\bDate\(\)|\bperformance\b|\bcrypto\b|\bprocess\.|\bset(Timeout|Interval|Immediate)\b|\bfetch\(/;
    expect(inside.filter(({ code }) => impure.test(code)).map(({ file }) => file)).toEqual([]);
  });

  test("the client runs in browsers: nothing of Node, no wall clock, and the world only through its environment", () => {
    const own = shipped.filter((source) => source.package === "client");
    const imports = own.flatMap((source) => source.imports);
    expect(imports.filter(({ from }) => from.startsWith("node:")).map(shown)).toEqual([]);
    expect(
      own.filter(({ code }) => /\bDate\.now\b|\bnew Date\(\)/.test(code)).map(({ file }) => file),
    ).toEqual([]);
    const worldly =
      /\bMath\.random\b|\bperformance\b|\bcrypto\b|\bsetTimeout\(|\bnavigator\b|\bsessionStorage\b/;
    const allowed = ["environment.ts", "ai/record-stream.ts"].map((file) => `packages/client/src/${file}`);
    expect(
      own
        .filter(({ code }) => worldly.test(code))
        .map(({ file }) => file)
        .sort(),
    ).toEqual(allowed.sort());
  });

  test("a dialect calls the service, never an engine: of that it knows types only", () => {
    const wrong = shipped
      .filter(({ file }) => file.startsWith("packages/server/src/dialects/"))
      .flatMap(({ imports }) => imports)
      .filter(({ from, typesOnly }) => {
        const imported = packageOf(from);
        if (imported === "engine") return !typesOnly;
        return imported === "views" || imported === "engine-embedded" || from.includes("/serve.js");
      });
    expect(wrong.map(shown)).toEqual([]);
  });

  test("only the server's start and its door know which engine there is", () => {
    const knowing = shipped.filter(
      (source) =>
        source.package === "server" &&
        source.imports.some(({ from }) => packageOf(from) === "engine-embedded"),
    );
    const allowed = ["packages/server/src/index.ts", "packages/server/src/serve.ts"];
    expect(knowing.map(({ file }) => file).filter((file) => !allowed.includes(file))).toEqual([]);
  });

  test("what the service is built on does not know who speaks to it", () => {
    const wrong = shipped
      .filter(({ file }) => file.startsWith("packages/server/src/service/"))
      .flatMap(({ imports }) => imports)
      .filter(({ from }) => from.includes("/dialects/") || from === "fastify" || from === "ws");
    expect(wrong.map(shown)).toEqual([]);
  });

  test("no files of a package import each other in a circle", () => {
    const values = new Map(
      shipped.map(({ file, imports }) => [
        file,
        imports
          .filter(({ from, typesOnly }) => from.startsWith(".") && !typesOnly)
          .map(({ from }) => relative(ROOT, sourceOf(resolve(ROOT, dirname(file), from)))),
      ]),
    );
    for (const target of [...values.values()].flat())
      expect(existsSync(join(ROOT, target)), target).toBe(true);
    expect(circlesOf(values)).toEqual([]);
  });
});

/** The file that an import's .js is made from. */
function sourceOf(file: string): string {
  const tsx = file.replace(/\.js$/, ".tsx");
  return existsSync(tsx) ? tsx : file.replace(/\.js$/, ".ts");
}

/** Circles in a graph, each as the path that leads back to its beginning. */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) circles.push([...path.slice(at), file].join(" → "));
    if (at >= 0 || done.has(file)) return;
    for (const next of graph.get(file) ?? []) walk(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
  return circles;
}
