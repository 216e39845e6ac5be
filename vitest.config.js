import { defineConfig } from "vitest/config";

// The compiled output is what ships, so it is what is tested: `npm test` builds first.
export default defineConfig({
  test: {
    include: ["packages/*/dist/**/*.test.js", "tests/dist/**/*.test.js", "bench/dist/**/*.test.js"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores: more workers than that only measure each other.
    maxWorkers: 2,
    pool: "forks",
  },
});
