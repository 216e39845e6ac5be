import { defineConfig } from "vitest/config";

const settings = { testTimeout: 60_000, hookTimeout: 60_000, pool: "forks" };

// Files share processes, and what is tested is loaded by Node alone: to load it anew for each file takes longer than most
// of them.
const together = {
  ...settings,
  isolate: false,
  server: { deps: { external: [/\/packages\/[^/]+\/dist\/(?!.*\.test\.js$)/] } },
};

// These change globals or put a module in the place of another, which no other file may see.
const apart = [
  "packages/client/dist/stores.test.js",
  "packages/react/dist/hooks-react-18.test.js",
  "tests/dist/react-examples.test.js",
];

// The compiled output is what ships, so it is what is tested: `npm test` builds first.
export default defineConfig({
  test: {
    // For two cores: much of what a test does is waiting, for a disk or a process.
    maxWorkers: 3,
    projects: [
      {
        test: {
          ...together,
          name: "all",
          include: ["{packages/*,tests,bench}/dist/**/*.test.js"],
          exclude: ["packages/react/**", ...apart],
        },
      },
      // All of these have a page's globals.
      {
        test: {
          ...together,
          name: "react",
          include: ["packages/react/dist/**/*.test.js"],
          exclude: apart,
        },
      },
      { test: { ...settings, name: "apart", include: apart } },
    ],
  },
});
