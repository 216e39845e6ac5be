import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NewEvent, readStateChange } from "@daybook/core";
import {
  append,
  appendOne,
  create,
  erase,
  fork,
  note,
  patch,
  readAll,
  sessionId,
} from "@daybook/engine/contract/commands";
import { RawJson } from "@daybook/protocol";
import { FaultyStore, Random, snapshotOf } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import { checkFolder } from "./check-folder.js";
import { backupFolder, restoreFolder } from "./copy-folder.js";
import type { EmbeddedEngine } from "./engine.js";
import { segmentName } from "./frame-format.js";
import { logFolder, openEngine, viewsFolder } from "./open-engine.js";
import { repairFolder } from "./repair-folder.js";

const setting = (producer: string, seq: number, state: string): NewEvent => ({
  ...note(producer, seq, `{"text":"${producer}-${seq}","fill":"${"x".repeat(200)}"}`),
  state: readStateChange(new RawJson(state, "object")),
});

/** A parent with state, and forks of it and of each other that changed what they inherited. */
async function grow(engine: EmbeddedEngine): Promise<void> {
  await create(engine, "p", { title: "parent" });
  for (let seq = 1; seq <= 6; seq++) await appendOne(engine, "p", setting("a", seq, `{"set":{"k":${seq}}}`));
  await fork(engine, "p", "f", 4);
  for (let seq = 1; seq <= 3; seq++)
    await appendOne(engine, "f", setting("f", seq, `{"set":{"k":"f${seq}"}}`));
  await patch(engine, "f", { title: "f-title" });
  await fork(engine, "f", "g", 5);
  await appendOne(engine, "g", setting("g", 1, '{"set":{"k":"g"},"if":{"k":5}}'));
  await appendOne(engine, "p", setting("a", 7, '{"set":{"k":7}}'));
}

const IDS = ["p", "f", "g"];

const erased = (engine: EmbeddedEngine): Promise<void> =>
  expect.poll(() => engine.erasuresPending, { interval: 1, timeout: 10_000 }).toBe(0);

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "daybook-forks-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const settings = { segmentBytes: 3_000, flushDelayMs: 1, reserveBytes: 0 };

describe("a fork in the log", () => {
  it("is there with its entry in the parent's log or not at all, wherever the power cuts the log", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "p");
    await appendOne(engine, "p", note("a", 1));
    const [name = ""] = store.files.names;
    const before = store.files.bytes(name).length;
    await fork(engine, "p", "f");
    await appendOne(engine, "f", note("b", 1));
    await store.end();
    await store.changeViews("deleted");
    const whole = Buffer.from(store.files.bytes(name));
    for (let end = before; end <= whole.length; end++) {
      store.files.put(name, whole.subarray(0, end));
      const again = await store.open();
      const [parent, child] = [again.head(sessionId("p")), again.head(sessionId("f"))];
      expect(parent?.forks, `cut at ${end}`).toBe(child === undefined ? 0 : 1);
      if (child !== undefined) expect((await readAll(again, "f")).length).toBe(child.lastSeq);
      await store.end();
      await store.changeViews("deleted");
    }
  });

  it("is taken back with the batch that failed, and can be made again", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ flushDelayMs: 0 });
    await create(engine, "p");
    await appendOne(engine, "p", setting("a", 1, '{"set":{"k":1}}'));
    store.files.fault = ({ kind }) => (kind === "write" ? new Error("no space") : undefined);
    const lost = await Promise.allSettled([
      appendOne(engine, "p", setting("a", 2, '{"set":{"k":2}}')),
      fork(engine, "p", "f"),
      appendOne(engine, "f", setting("b", 1, '{"set":{"k":"f"}}')),
      fork(engine, "f", "g"),
    ]);
    expect(lost.map(({ status }) => status)).toEqual(Array.from(lost, () => "rejected"));
    store.files.fault = undefined;
    await expect
      .poll(() =>
        fork(engine, "p", "f").then(
          () => "forked",
          () => "refused",
        ),
      )
      .toBe("forked");
    expect(engine.head(sessionId("p"))).toMatchObject({ forks: 1, lastSeq: 1 });
    expect(engine.head(sessionId("g"))).toBeUndefined();
    await appendOne(engine, "f", setting("b", 1, '{"set":{"k":"f"},"if":{"k":1}}'));
    expect((await engine.stateKey(sessionId("f"), "k", {}))?.version).toBe(2);
    expect(store.fatal).toEqual([]);
  });

  it("is refused for an id that is taken only once it is known that it is", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "p");
    store.files.fault = ({ kind }) => (kind === "write" ? new Error("no space") : undefined);
    const outcomes = await Promise.allSettled([create(engine, "f"), fork(engine, "p", "f")]);
    // Nothing was there in the end: to say that it exists would be a lie.
    expect(outcomes).toMatchObject([
      { reason: { code: "storage_unavailable" } },
      { reason: { code: "storage_unavailable" } },
    ]);
  });

  it("answers the same from memory, from the views, and from views made anew", async () => {
    await using store = await FaultyStore.make();
    // The views are written only at the end.
    let engine = await store.open({ flushDelayMs: 60_000 });
    await grow(engine);
    const facts = (): Promise<unknown> =>
      Promise.all(
        IDS.map(async (id) => [
          await readAll(engine, id),
          await engine.stateHistory(sessionId(id), "k", { after: 0, limit: 100 }),
          await Promise.all([0, 3, 4, 5, 6].map((atSeq) => engine.stateKey(sessionId(id), "k", { atSeq }))),
        ]),
      );
    const inMemory = await facts();
    const before = await snapshotOf(engine, IDS);
    for (const fate of ["kept", "deleted"] as const) {
      await store.end();
      await store.changeViews(fate);
      // Nothing stays in memory that need not.
      engine = await store.open({ recentBytesMax: 0, idleLogsMax: 0, flushDelayMs: 0 });
      expect(await facts()).toEqual(inMemory);
      expect(await snapshotOf(engine, IDS)).toEqual(before);
    }
  });

  it("finds a version of its parent among very many that are in memory only", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ flushDelayMs: 60_000, viewLagBytesMax: 1_000_000_000 });
    await create(engine, "p");
    for (let first = 1; first <= 40_000; first += 1_000) {
      const events = Array.from({ length: 1_000 }, (_, index) => ({
        ...note("a", first + index),
        state: readStateChange(new RawJson('{"set":{"k":1}}', "object")),
      }));
      await append(engine, "p", { events, batch: true });
    }
    await fork(engine, "p", "f", 20_000);
    for (const seq of [1, 777, 19_999, 20_000])
      expect(await engine.stateKey(sessionId("f"), "k", { atSeq: seq })).toMatchObject({ version: seq, seq });
    expect(await engine.stateKey(sessionId("f"), "k", { version: 20_001 })).toBeUndefined();
  });
});

describe("erasing a fork", () => {
  it("leaves none of its own text, and every byte of what it shared", () =>
    inFolder(async (folder) => {
      let engine = await openEngine(folder, { settings });
      await grow(engine);
      const parent = await readAll(engine, "p");
      await erase(engine, "g");
      await erase(engine, "f");
      await erased(engine);
      await engine.close();
      engine = await openEngine(folder, { settings });
      expect(await readAll(engine, "p")).toEqual(parent);
      expect(engine.head(sessionId("p"))?.forks).toBe(0);
      await engine.close();
      const bytes = await logBytes(folder);
      for (const gone of ["f-1", "f-3", "g-1", "f-title"]) expect(bytes.includes(gone), gone).toBe(false);
      for (const stays of ["a-1", "a-4", "a-7"]) expect(bytes.includes(stays), stays).toBe(true);
      expect((await checkFolder(folder)).problems).toEqual([]);
    }));

  it("gives back its own segments and no other: those of its parent live as long as that", () =>
    inFolder(async (folder) => {
      const engine = await openEngine(folder, { settings });
      const filler = (producer: string, seq: number): NewEvent =>
        note(producer, seq, `"${"x".repeat(1_000)}"`);
      await create(engine, "p");
      for (let seq = 1; seq <= 12; seq++) await appendOne(engine, "p", filler("a", seq));
      await fork(engine, "p", "f", 10);
      for (let seq = 1; seq <= 24; seq++) await appendOne(engine, "f", filler("f", seq));
      const before = await segmentSizes(folder);
      await erase(engine, "f");
      await erased(engine);
      const after = await segmentSizes(folder);
      expect(after.slice(0, 3)).toEqual(before.slice(0, 3));
      expect(after.filter((size) => size < 500).length).toBeGreaterThan(3);
      expect(await readAll(engine, "p")).toHaveLength(12);
      await erase(engine, "p");
      await erased(engine);
      expect(Math.max(...(await segmentSizes(folder)).slice(0, 3))).toBeLessThan(500);
      await engine.close();
      expect((await checkFolder(folder)).problems).toEqual([]);
    }));

  it("and then its parent is finished in that order, whenever the power goes, twice, and whatever the views are", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new Random(seed);
      await using store = await FaultyStore.make();
      const small = { segmentBytes: random.pick([400, 100_000]), flushDelayMs: random.pick([0, 1_000]) };
      const engine = await store.open(small);
      await grow(engine);
      await create(engine, "other");
      for (const id of ["g", "f", "p"]) await erase(engine, id);
      store.files.losePowerAt(random.between(1, 4), random);
      await expect
        .poll(() => engine.erasuresPending === 0 || store.files.afterPowerLoss !== undefined, { interval: 1 })
        .toBe(true);
      store.files.crash(random);
      await store.end();
      await store.changeViews(random.pick(["kept", "deleted"]));
      // The power goes again while the next start goes on with it.
      store.files.losePowerAt(random.between(2, 12), random);
      await store.open(small).catch((error: unknown) => {
        if (store.files.afterPowerLoss === undefined) throw error;
      });
      store.files.crash(random);
      await store.end();
      store.fatal.length = 0;
      await store.changeViews(random.pick(["kept", "deleted"]));
      const again = await store.open(small);
      for (const id of IDS) expect(again.head(sessionId(id))?.status, `seed ${seed}`).toBe("deleted");
      await erased(again);
      for (const mark of ["a-1", "f-1", "g-1"])
        expect((await store.everything()).includes(`"${mark}"`), `seed ${seed}: ${mark}`).toBe(false);
      expect(store.fatal, `seed ${seed}`).toEqual([]);
    }
  });
});

describe("a folder with forks", () => {
  it("is checked, backed up and restored like any other", () =>
    inFolder(async (folder) => {
      const [data, backup, restored] = ["data", "backup", "restored"].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      let engine = await openEngine(data, { settings });
      await grow(engine);
      const before = await snapshotOf(engine, IDS);
      await backupFolder(data, backup);
      await engine.close();
      const report = await checkFolder(data);
      expect(report).toMatchObject({ sessions: 3, events: 11, problems: [] });
      await restoreFolder(backup, restored);
      engine = await openEngine(restored, { settings });
      expect(await snapshotOf(engine, IDS)).toEqual(before);
      await expect(erase(engine, "p")).rejects.toMatchObject({ code: "session_has_forks" });
      await engine.close();
    }));

  it("is repaired up to the damage: a fork is cut with its entry, or stays with what it shares", () =>
    inFolder(async (folder) => {
      let engine = await openEngine(folder, { settings: { ...settings, segmentBytes: 100_000 } });
      await grow(engine);
      await engine.close();
      const file = join(logFolder(folder), segmentName(1));
      const whole = await readFile(file);
      for (const share of [0.3, 0.55, 0.7, 0.85]) {
        const bytes = Buffer.from(whole);
        const at = Math.floor(whole.length * share);
        bytes[at] = (bytes[at] ?? 0) ^ 0xff;
        await writeFile(file, bytes);
        await rm(viewsFolder(folder), { recursive: true, force: true });
        await repairFolder(folder, { acceptLoss: true });
        engine = await openEngine(folder, { settings });
        const living = IDS.filter((id) => engine.head(sessionId(id)) !== undefined);
        for (const id of living) await readAll(engine, id);
        for (const id of living.toReversed()) await erase(engine, id);
        await engine.close();
      }
    }));
});

async function segmentSizes(folder: string): Promise<number[]> {
  const sizes: number[] = [];
  for (let segment = 1; ; segment++) {
    const bytes = await readFile(join(logFolder(folder), segmentName(segment))).catch(() => undefined);
    if (bytes === undefined) return sizes;
    sizes.push(bytes.length);
  }
}

async function logBytes(folder: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let segment = 1; ; segment++) {
    const bytes = await readFile(join(logFolder(folder), segmentName(segment))).catch(() => undefined);
    if (bytes === undefined) return Buffer.concat(parts);
    parts.push(bytes);
  }
}
