import { cp, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appendOne, create, erase, note, readAll, TENANT } from "@daybook/engine/contract/commands";
import { describe, expect, it } from "vitest";
import { checkFolder } from "./check-folder.js";
import type { EmbeddedEngine } from "./engine.js";
import { segmentName } from "./frame-format.js";
import { logFolder, openEngine, viewsFolder } from "./open-engine.js";

const settings = { segmentBytes: 20_000, flushDelayMs: 1, reserveBytes: 0 };

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "daybook-reclaim-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function fill(engine: EmbeddedEngine, id: string, bytes: number): Promise<void> {
  await create(engine, id);
  for (let seq = 1, written = 0; written < bytes; seq++, written += 1_000) {
    await appendOne(engine, id, note("p", seq, `{"fill":"${"x".repeat(1_000)}"}`));
  }
}

const erased = (engine: EmbeddedEngine): Promise<void> =>
  expect.poll(() => engine.erasuresPending, { interval: 1, timeout: 10_000 }).toBe(0);

const sizes = (folder: string, segments: readonly number[]): Promise<number[]> =>
  Promise.all(segments.map(async (one) => (await stat(join(logFolder(folder), segmentName(one)))).size));

const feed = async (engine: EmbeddedEngine): Promise<string[]> =>
  (await engine.lifecycle(TENANT, { limit: 100 })).items.map(
    ({ kind, session, place }) => `${kind} ${session.id} ${place}`,
  );

describe("a segment in which everything is erased", () => {
  it("gives its space back, and the log reads on as before", () =>
    inFolder(async (folder) => {
      let engine = await openEngine(folder, { settings });
      await fill(engine, "gone", 90_000);
      await fill(engine, "stays", 30_000);
      const before = await sizes(folder, [1, 2, 3]);
      await erase(engine, "gone");
      await erased(engine);
      const after = await sizes(folder, [1, 2, 3]);
      expect(Math.min(...before)).toBeGreaterThan(15_000);
      expect(Math.max(...after)).toBeLessThan(1_000);
      const kept = await readAll(engine, "stays");
      await engine.close();
      engine = await openEngine(folder, { settings });
      expect(await readAll(engine, "stays")).toEqual(kept);
      await expect(create(engine, "gone")).rejects.toMatchObject({ code: "session_deleted" });
      await appendOne(engine, "stays", note("q", 1));
      await engine.close();
      expect((await checkFolder(folder)).problems).toEqual([]);
    }));

  it("keeps deletions, and their places in the lifecycle feed, also when the views are made anew", () =>
    inFolder(async (folder) => {
      let engine = await openEngine(folder, { settings });
      await create(engine, "early");
      await erase(engine, "early");
      await fill(engine, "gone", 90_000);
      await create(engine, "stays");
      await erase(engine, "gone");
      await erased(engine);
      expect((await sizes(folder, [2]))[0]).toBeLessThan(1_000);
      const before = await feed(engine);
      await engine.close();
      await rm(viewsFolder(folder), { recursive: true });
      engine = await openEngine(folder, { settings });
      const deletions = before.filter((line) => line.startsWith("deleted"));
      expect(deletions).toHaveLength(2);
      expect((await feed(engine)).filter((line) => line.startsWith("deleted"))).toEqual(deletions);
      await expect(create(engine, "early")).rejects.toMatchObject({ code: "session_deleted" });
      await engine.close();
    }));

  it("does not confuse views that are older than it: they are made anew", () =>
    inFolder(async (folder) => {
      let engine = await openEngine(folder, { settings });
      await fill(engine, "gone", 30_000);
      await engine.close();
      await cp(viewsFolder(folder), join(folder, "older"), { recursive: true });
      engine = await openEngine(folder, { settings });
      await fill(engine, "gone too", 60_000);
      await create(engine, "stays");
      await appendOne(engine, "stays", note("p", 1));
      for (const id of ["gone", "gone too"]) await erase(engine, id);
      await erased(engine);
      expect((await sizes(folder, [2]))[0]).toBeLessThan(1_000);
      await engine.close();
      await rm(viewsFolder(folder), { recursive: true });
      await cp(join(folder, "older"), viewsFolder(folder), { recursive: true });
      await rm(join(folder, "older"), { recursive: true });
      engine = await openEngine(folder, { settings });
      expect(await readAll(engine, "stays")).toHaveLength(1);
      await engine.close();
      expect((await checkFolder(folder)).problems).toEqual([]);
    }));
});
