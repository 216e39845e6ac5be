// Puts the command, the server and all that they import into a few files, which a start reads instead of every module on
// its own. What is imported on demand stays apart. See docs/decisions/0015-the-command-is-a-bundle.md.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const here = (path) => join(import.meta.dirname, path);

// Their names change with what they hold.
rmSync(here("bundle"), { recursive: true, force: true });
await build({
  entryPoints: {
    daybook: here("dist/main.js"),
    // The views start it as a process of its own, by its name beside them.
    probe: here("../views/dist/probe.js"),
  },
  outdir: here("bundle"),
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  external: [
    // They find their native parts beside themselves.
    "lmdb",
    "fs-native-extensions",
    // fastify and ws ask for these only when they are used, and here they are not.
    "@fastify/ajv-compiler",
    "@fastify/fast-json-stringify-compiler",
    "light-my-request",
    "bufferutil",
    "utf-8-validate",
  ],
  // Modules in CommonJS ask for Node's own by `require`, which a module of the other kind has not.
  banner: {
    js: `import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);`,
  },
  logLevel: "warning",
});
