import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeEngine } from "@daybook/engine/contract";
import { expect } from "vitest";
import { checkFolder } from "./check-folder.js";
import { openEngine, openMemoryEngine } from "./open-engine.js";

/** Whatever a test did: the views it leaves are those that are made anew from its log. */
async function checkedAndRemoved(folder: string): Promise<void> {
  const { problems } = await checkFolder(folder);
  await rm(folder, { recursive: true });
  expect(problems).toEqual([]);
}

describeEngine("the durable store", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daybook-contract-"));
  return {
    open: (settings = {}) => openEngine(folder, { settings: { ...settings, reserveBytes: 0 } }),
    remove: () => rm(folder, { recursive: true }),
  };
});

// Small enough that segments turn over, views are written and memory is let go of all the time.
describeEngine("the durable store with everything small", async () => {
  const folder = await mkdtemp(join(tmpdir(), "daybook-contract-"));
  const small = {
    segmentBytes: 5_000,
    recentBytesMax: 2_000,
    viewLagBytesMax: 3_000,
    idleLogsMax: 1,
    flushDelayMs: 0,
  };
  return {
    open: (settings = {}) => openEngine(folder, { settings: { ...small, ...settings, reserveBytes: 0 } }),
    remove: () => checkedAndRemoved(folder),
  };
});

describeEngine("the store in memory", () =>
  Promise.resolve({
    open: (settings = {}) => openMemoryEngine({ settings }),
    remove: () => Promise.resolve(),
  }),
);
