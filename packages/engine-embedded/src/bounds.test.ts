import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { readStateChange } from "@daybook/core";
import {
  appendOne,
  BY_ID,
  create,
  fork,
  listAll,
  note,
  readAll,
  sessionId,
} from "@daybook/engine/contract/commands";
import { RawJson } from "@daybook/protocol";
import { FaultyStore } from "@daybook/test-kit";
import type { Views } from "@daybook/views";
import { describe, expect, it } from "vitest";
import type { EmbeddedEngine } from "./engine.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** What is still in use. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}

const viewsOf = (engine: EmbeddedEngine): Views =>
  (engine as unknown as { store: { views: Views } }).store.views;

describe("memory is bounded by configuration, not by load", () => {
  it("appends beyond the queue get event_store_backpressure, and nothing of them is stored", async () => {
    await using store = await FaultyStore.make();
    const queueBytesMax = 20_000;
    const engine = await store.open({ queueBytesMax });
    await create(engine, "s");
    const disk = gate();
    store.files.gate = (kind) => (kind === "sync" ? disk.opened : undefined);
    const payload = `{"fill":"${"x".repeat(500)}"}`;
    const outcomes: Promise<number | string>[] = [];
    for (let seq = 1; seq <= 200; seq++) {
      const outcome = appendOne(engine, "s", note(`p${seq}`, 1, payload));
      outcomes.push(outcome.catch((error: unknown) => (error as { code: string }).code));
      if (seq % 10 === 0) await turn();
      expect(engine.queueBytes).toBeLessThan(queueBytesMax + 1_000);
    }
    disk.open();
    const settled = await Promise.all(outcomes);
    const stored = settled.filter((outcome) => typeof outcome === "number");
    expect(stored).toEqual(stored.map((_, index) => index + 1));
    expect(stored.length).toBeGreaterThan(20);
    expect(new Set(settled.filter((outcome) => typeof outcome === "string"))).toEqual(
      new Set(["event_store_backpressure"]),
    );
    expect(await readAll(engine, "s")).toHaveLength(stored.length);
    expect(await appendOne(engine, "s", note("later", 1))).toBe(stored.length + 1);
  });

  it("a page of state keeps its values and not the events that they came from", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ recentBytesMax: 1_000, idleLogsMax: 1 });
    await create(engine, "s");
    const payload = `{"fill":"${"x".repeat(200_000)}"}`;
    const append = (index: number): Promise<number> => {
      const state = readStateChange(new RawJson(`{"set":{"k${index}":"one of the small values"}}`, "object"));
      return appendOne(engine, "s", { ...note("p", index, payload), state });
    };
    await Promise.all(Array.from({ length: 150 }, (_, index) => append(index + 1)));
    const before = heapUsed();
    const { entries } = await engine.state(sessionId("s"), { limit: 1_000 });
    // All together the events have 30 MB.
    expect(heapUsed() - before).toBeLessThan(10 * 1024 * 1024);
    expect(entries).toHaveLength(150);
  });

  it("appends wait for views that are too far behind, and go on when they have come near", async () => {
    await using store = await FaultyStore.make();
    const viewLagBytesMax = 3_000;
    const engine = await store.open({ viewLagBytesMax, flushDelayMs: 0 });
    await create(engine, "s");
    const views = viewsOf(engine);
    const write = views.write.bind(views);
    const slow = gate();
    views.write = async (...args) => {
      await slow.opened;
      return write(...args);
    };
    let acknowledged = 0;
    const writer = async (): Promise<void> => {
      for (let seq = 1; seq <= 100; seq++) {
        await appendOne(engine, "s", note("p", seq, `{"fill":"${"x".repeat(100)}"}`));
        acknowledged = seq;
      }
    };
    const writing = writer();
    await expect.poll(() => engine.viewLagBytes, { interval: 1 }).toBeGreaterThan(viewLagBytesMax);
    for (let count = 0; count < 50; count++) await turn();
    const stalledAt = acknowledged;
    for (let count = 0; count < 50; count++) await turn();
    expect(acknowledged).toBe(stalledAt);
    expect(stalledAt).toBeLessThan(30);
    expect(engine.viewLagBytes).toBeLessThan(viewLagBytesMax + 2_000);
    // Tails and event reads never wait for views.
    expect(await readAll(engine, "s")).toHaveLength(stalledAt);
    slow.open();
    await writing;
    expect(await readAll(engine, "s")).toHaveLength(100);
  });

  it("lets go of recent events and of idle sessions, and still answers all of them", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ recentBytesMax: 5_000, idleLogsMax: 10, flushDelayMs: 0 });
    const ids = Array.from({ length: 60 }, (_, index) => `s${String(index).padStart(2, "0")}`);
    for (const id of ids) {
      await create(engine, id, { title: id });
      await Promise.all([1, 2, 3].map((seq) => appendOne(engine, id, note("p", seq, `{"of":"${id}"}`))));
    }
    expect(await listAll(engine, BY_ID)).toEqual(ids);
    // What the views do not have yet is kept; after a list they have all of it.
    expect(engine.openLogs).toBeLessThan(30);
    for (const id of ids) {
      expect((await readAll(engine, id)).every((event) => event.includes(`{"of":"${id}"}`))).toBe(true);
      expect(await appendOne(engine, id, note("p", 3, `{"of":"${id}"}`))).toBe(3);
      expect(await appendOne(engine, id, note("p", 4))).toBe(4);
    }
  });

  it("lets go of sessions that are only read, however many there are", async () => {
    await using store = await FaultyStore.make();
    let engine = await store.open();
    await create(engine, "p");
    await appendOne(engine, "p", note("p", 1));
    // Each brings its parent along.
    for (let index = 0; index < 300; index++) await fork(engine, "p", `f${index}`);
    engine = await store.reopen({ idleLogsMax: 20, recentBytesMax: 0 });
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 300; index++) {
        expect(await readAll(engine, `f${index}`)).toHaveLength(1);
        // Reads of files in memory take no turn of their own; those of a disk do.
        await new Promise((resolve) => setImmediate(resolve));
        expect(engine.openLogs).toBeLessThan(40);
      }
    }
  });

  it("a lag bound below one batch still lets the store work", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ viewLagBytesMax: 0, flushDelayMs: 100_000 });
    await create(engine, "s");
    for (let seq = 1; seq <= 50; seq++) expect(await appendOne(engine, "s", note("p", seq))).toBe(seq);
    expect(await listAll(engine, BY_ID)).toEqual(["s"]);
  });

  it("views that cannot be written are fatal: nothing more is written, and the next start makes them right", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ flushDelayMs: 0 });
    await create(engine, "a");
    const views = viewsOf(engine);
    const write = views.write.bind(views);
    let writes = 0;
    views.write = (...args) => (++writes === 1 ? Promise.reject(new Error("MDB_MAP_FULL")) : write(...args));
    await create(engine, "b");
    await expect.poll(() => store.fatal.length, { interval: 1 }).toBe(1);
    await expect(create(engine, "c")).rejects.toMatchObject({ code: "storage_unavailable" });
    await engine.close();
    expect(writes).toBe(1);
    const again = await store.reopen();
    expect(await listAll(again, BY_ID)).toEqual(["a", "b"]);
  });
});
