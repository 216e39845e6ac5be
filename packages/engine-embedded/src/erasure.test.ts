import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NewEvent, readStateChange } from "@daybook/core";
import {
  ALL,
  append,
  appendOne,
  BY_ID,
  create,
  erase,
  listAll,
  note,
  patch,
  readAll,
  sessionId,
} from "@daybook/engine/contract/commands";
import { RawJson } from "@daybook/protocol";
import { FaultyStore, Random } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import { checkFolder } from "./check-folder.js";
import type { EmbeddedEngine } from "./engine.js";
import { segmentName } from "./frame-format.js";
import { openEngine } from "./open-engine.js";

/** Stands in everything a client can put into a session but its id. */
const MARK = "xk-marker-7";

const marked = (seq: number): NewEvent => ({
  ...note(`${MARK}-producer`, seq, `{"text":"${MARK}","fill":"${"x".repeat(300)}"}`),
  type: `${MARK}-type`,
  source: `${MARK}-source`,
  metadata: `{"m":"${MARK}"}`,
  refs: `{"request_id":"${MARK}"}`,
  idempotencyKey: MARK,
  state: readStateChange(new RawJson(`{"set":{"${MARK}-key":"${MARK}"}}`, "object")),
});

async function fill(engine: EmbeddedEngine, count: number): Promise<void> {
  await create(engine, "s", { title: MARK, metadata: `{"${MARK}":"${MARK}"}` });
  await create(engine, "other", { title: "stays" });
  for (let seq = 1; seq <= count; seq++) {
    await Promise.all([appendOne(engine, "s", marked(seq)), appendOne(engine, "other", note("p", seq))]);
  }
  await patch(engine, "s", { title: `${MARK} again`, metadata: `{"second":"${MARK}"}` });
}

const erased = (engine: EmbeddedEngine): Promise<void> =>
  expect.poll(() => engine.erasuresPending, { interval: 1, timeout: 10_000 }).toBe(0);

describe("erasing a session", () => {
  it("leaves none of its text anywhere in the data folder after the next start", async () => {
    const folder = await mkdtemp(join(tmpdir(), "daybook-erasure-"));
    const filesWithMark = async (): Promise<string[]> => {
      const names = await readdir(folder, { recursive: true, withFileTypes: true });
      const found: string[] = [];
      for (const entry of names.filter((one) => one.isFile())) {
        const bytes = await readFile(join(entry.parentPath, entry.name));
        if (bytes.includes(MARK) || bytes.includes(Buffer.from(MARK, "utf16le"))) found.push(entry.name);
      }
      return found.sort();
    };
    try {
      const settings = { segmentBytes: 5_000, flushDelayMs: 1, reserveBytes: 0 };
      let engine = await openEngine(folder, { settings });
      await fill(engine, 40);
      // In the views, too: else it would not be seen there.
      await listAll(engine, BY_ID);
      expect(await filesWithMark()).toContain("data.mdb");
      await erase(engine, "s");
      await erased(engine);
      expect((await filesWithMark()).filter((name) => name !== "data.mdb")).toEqual([]);
      await engine.close();
      engine = await openEngine(folder, { settings });
      expect(await filesWithMark()).toEqual([]);
      expect(await readAll(engine, "other")).toHaveLength(40);
      expect(await listAll(engine, BY_ID)).toEqual(["other"]);
      await engine.close();
      expect((await checkFolder(folder)).problems).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("is finished at the next start when the power goes halfway, wherever that is and whatever it leaves", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const random = new Random(seed);
      await using store = await FaultyStore.make();
      const settings = { segmentBytes: random.pick([1_000, 100_000]), flushDelayMs: random.pick([0, 1_000]) };
      let engine = await store.open(settings);
      await fill(engine, 6);
      if (random.chance(0.3)) {
        await store.end();
        await store.keepViews();
        engine = await store.open(settings);
      }
      const other = await readAll(engine, "other");
      await erase(engine, "s");
      // An acknowledged erasure survives from this moment on.
      store.files.losePowerAt(random.between(1, 12), random);
      await expect
        .poll(() => engine.erasuresPending === 0 || store.files.afterPowerLoss !== undefined, { interval: 1 })
        .toBe(true);
      store.files.crash(random);
      await store.end();
      store.fatal.length = 0;
      await store.changeViews(random.pick(["kept", "deleted", "older"]));
      const again = await store.open(settings);
      expect(again.head(sessionId("s"))?.status, `seed ${seed}`).toBe("deleted");
      await erased(again);
      expect((await store.everything()).includes(MARK), `seed ${seed}`).toBe(false);
      expect(await readAll(again, "other")).toEqual(other);
      expect(await listAll(again, BY_ID)).toEqual(["other"]);
      expect(store.fatal).toEqual([]);
    }
  });

  it("is legal damage only where an erase entry says so: zeros in a living session refuse the start", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ segmentBytes: 1_000 });
    await fill(engine, 6);
    await store.end();
    const name = segmentName(2);
    const bytes = Buffer.from(store.files.bytes(name));
    const text = bytes.indexOf('{"seq"');
    bytes.fill(0, text, bytes.indexOf("}}", text) + 2);
    store.files.put(name, bytes);
    await store.changeViews("deleted");
    await expect(store.open()).rejects.toMatchObject({ code: "damaged" });
  });

  it("ends reads that had begun before with session_not_found, also when they find half of the zeros", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ segmentBytes: 1_000, recentBytesMax: 0, flushDelayMs: 0 });
    await fill(engine, 6);
    await listAll(engine, BY_ID);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let reads = 0;
    store.files.gate = (kind) => {
      if (kind !== "read") return undefined;
      reads++;
      return held;
    };
    const calls = [
      (async () => engine.read(sessionId("s"), 0, ALL))(),
      engine.session(sessionId("s")),
      append(engine, "s", { events: [marked(1)], batch: false }),
    ].map((call) => call.catch((error: unknown) => error));
    await expect.poll(() => reads, { interval: 1 }).toBeGreaterThan(0);
    let zeroing = 0;
    store.files.fault = ({ kind, length }) => {
      // The first payload is zeroed in two writes, and the second of them has to wait.
      if (kind !== "write" || length < 100) return undefined;
      return ++zeroing === 2 ? length >> 1 : undefined;
    };
    const list = listAll(engine, BY_ID);
    await erase(engine, "s");
    await expect.poll(() => zeroing, { interval: 1 }).toBeGreaterThan(2);
    release();
    store.files.gate = undefined;
    for (const outcome of await Promise.all(calls)) {
      if (outcome instanceof Error) expect(outcome).toMatchObject({ code: "session_not_found" });
    }
    expect(await list).toContain("other");
    await erased(engine);
    expect(store.fatal).toEqual([]);
  });

  it("opens no file twice and leaves none open", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ segmentBytes: 500 });
    await fill(engine, 10);
    await readAll(engine, "s");
    await erase(engine, "s");
    await erased(engine);
    expect(store.files.openFiles).toBeLessThanOrEqual(store.files.names.length);
    await store.end();
    expect(store.files.openFiles).toBe(0);
  });
});
