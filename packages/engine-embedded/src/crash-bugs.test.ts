import {
  append,
  appendOne,
  create,
  erase,
  note,
  readAll,
  sessionId,
} from "@daybook/engine/contract/commands";
import { FaultyStore, Random } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import type { EmbeddedEngine } from "./engine.js";
import { segmentName } from "./frame-format.js";

/** Appends one event after the other, each in a batch of its own. */
async function appendMany(engine: EmbeddedEngine, id: string, from: number, to: number): Promise<void> {
  for (let seq = from; seq <= to; seq++) expect(await appendOne(engine, id, note("p", seq))).toBe(seq);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A gate that holds every sync until it is opened. */
function holdSyncs(store: FaultyStore): { open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  store.files.gate = (kind) => (kind === "sync" ? opened : undefined);
  return { open };
}

/** The crash bugs that others met in such stores: docs/DESIGN names them, and here is that we do not have them. */
describe("crash bugs that others had", () => {
  it("a sealed segment is never prepared again: starting changes no byte of the log", async () => {
    await using store = await FaultyStore.make();
    const settings = { segmentBytes: 400 };
    const engine = await store.open(settings);
    await create(engine, "s");
    await appendMany(engine, "s", 1, 20);
    await store.end();
    expect(store.files.names.length).toBeGreaterThan(5);
    const before = store.files.names.map((name) => store.files.bytes(name));
    for (const views of ["kept", "deleted"] as const) {
      await store.changeViews(views);
      const again = await store.open(settings);
      expect(await readAll(again, "s")).toHaveLength(20);
      await store.end();
      expect(store.files.names.map((name) => store.files.bytes(name))).toEqual(before);
    }
  });

  it("a last segment with a damaged header is not taken for an unfinished one: nothing in it is dropped", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ segmentBytes: 400 });
    await create(engine, "s");
    await appendMany(engine, "s", 1, 5);
    await store.end();
    const last = store.files.names.at(-1) ?? "";
    expect(store.files.bytes(last).length).toBeGreaterThan(64);
    store.files.flipBit(last, 30);
    const before = store.files.bytes(last);
    await expect(store.open()).rejects.toMatchObject({ code: "damaged" });
    expect(store.files.bytes(last)).toEqual(before);
  });

  it("a segment whose header was not synced when the power went holds nothing, the first one too", async () => {
    for (const length of [0, 1, 40, 63]) {
      await using store = await FaultyStore.make();
      store.files.put(segmentName(1), Buffer.alloc(length, 7));
      const engine = await store.open({ segmentBytes: 400 });
      await create(engine, "s");
      await appendMany(engine, "s", 1, 5);
      await store.end();
      const next = segmentName(store.files.names.length + 1);
      store.files.put(next, Buffer.alloc(length, 7));
      const again = await store.reopen({ segmentBytes: 400 });
      await appendMany(again, "s", 6, 9);
      expect(await readAll(await store.reopen(), "s")).toHaveLength(9);
    }
  });

  it("a recovery holds for the next restart too: the power goes at every step of two recoveries in a row", async () => {
    for (let step = 1; step <= 8; step++) {
      const random = new Random(step);
      await using store = await FaultyStore.make();
      const engine = await store.open();
      await create(engine, "s");
      await appendMany(engine, "s", 1, 3);
      const unfinished = appendOne(engine, "s", note("p", 4, `{"text":"${"x".repeat(500)}"}`));
      store.files.losePowerAt(2, random);
      await unfinished.catch(() => undefined);
      await store.end();
      let events = 3;
      for (let restart = 0; restart < 2; restart++) {
        await store.changeViews("deleted");
        store.files.losePowerAt(step, random);
        const recovered = await store.open().catch(() => undefined);
        // What one recovery showed, the next one must still have.
        if (recovered !== undefined) events = (await readAll(recovered, "s")).length;
        store.files.crash(random);
        await store.end();
      }
      const again = await store.open();
      expect((await readAll(again, "s")).length).toBeGreaterThanOrEqual(events);
      expect(await appendOne(again, "s", note("p", 4, `{"text":"${"x".repeat(500)}"}`))).toBe(4);
      await appendMany(again, "s", 5, 6);
    }
  });

  it("readers are shown nothing before its sync, and no answer rests on what is not synced", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    await appendMany(engine, "s", 1, 1);
    const syncs = holdSyncs(store);
    const answered: string[] = [];
    const hear =
      (what: string) =>
      (outcome: unknown): void => {
        answered.push(`${what}: ${outcome instanceof Error ? outcome.message.slice(0, 12) : "ok"}`);
      };
    const unwatch = engine.watch(sessionId("s"), () => answered.push("a hint"));
    await turn();
    answered.length = 0;
    const calls = [
      appendOne(engine, "s", note("p", 2)).then(hear("append")),
      appendOne(engine, "s", note("p", 2)).then(hear("duplicate")),
      appendOne(engine, "s", note("p", 4)).catch(hear("conflict")),
      create(engine, "t").then(hear("create")),
      create(engine, "t").catch(hear("exists")),
    ];
    const writes = (): number => store.files.calls.get("write") ?? 0;
    const before = writes();
    await expect.poll(writes, { interval: 1 }).toBe(before + 1);
    for (let count = 0; count < 20; count++) await turn();
    expect(answered).toEqual([]);
    expect(engine.head(sessionId("s"))?.lastSeq).toBe(1);
    expect(engine.head(sessionId("t"))).toBeUndefined();
    expect(await readAll(engine, "s")).toHaveLength(1);
    syncs.open();
    await Promise.all(calls);
    expect(answered.filter((what) => what !== "a hint")).toHaveLength(5);
    expect(await readAll(engine, "s")).toHaveLength(2);
    unwatch();
  });

  it("an acknowledged event needs nothing that was not synced: all unsynced bytes and names may go", async () => {
    await using store = await FaultyStore.make();
    let engine = await store.open({ segmentBytes: 300 });
    await create(engine, "s");
    for (let seq = 1; seq <= 12; seq++) {
      expect(await appendOne(engine, "s", note("p", seq))).toBe(seq);
      store.files.crashLosingAll();
      engine = await store.reopen({ segmentBytes: 300 });
      expect(await readAll(engine, "s")).toHaveLength(seq);
    }
    expect(store.files.names.length).toBeGreaterThan(3);
  });

  it("bytes of an append that was never acknowledged, once shown after a kill, outlive a power loss", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    const syncs = holdSyncs(store);
    const lost = appendOne(engine, "s", note("p", 1)).catch((error: unknown) => error);
    const size = store.files.bytes(segmentName(1)).length;
    await expect.poll(() => store.files.bytes(segmentName(1)).length, { interval: 1 }).toBeGreaterThan(size);
    store.files.kill();
    syncs.open();
    expect(await lost).toMatchObject({ code: "storage_unavailable" });
    const killed = await store.reopen();
    expect(await readAll(killed, "s")).toHaveLength(1);
    store.files.crashLosingAll();
    const again = await store.reopen();
    expect(await readAll(again, "s")).toHaveLength(1);
    expect(await appendOne(again, "s", note("p", 1))).toBe(1);
  });

  it("an acknowledged delete is not undone, whatever the crash takes and whatever became of the views", async () => {
    for (const views of ["kept", "deleted", "older"] as const) {
      await using store = await FaultyStore.make();
      const first = await store.open({ segmentBytes: 300 });
      await create(first, "s");
      await appendMany(first, "s", 1, 5);
      await store.end();
      await store.keepViews();
      const engine = await store.open({ segmentBytes: 300 });
      await erase(engine, "s");
      store.files.crashLosingAll();
      await store.end();
      await store.changeViews(views);
      for (let restart = 0; restart < 2; restart++) {
        const again = await store.reopen({ segmentBytes: 300 });
        expect(again.head(sessionId("s"))?.status).toBe("deleted");
        await expect(create(again, "s")).rejects.toMatchObject({ code: "session_deleted" });
      }
    }
  });

  it("producer state is as new as the data: an honest retry and the next number are taken", async () => {
    for (const views of ["older", "deleted", "truncated"] as const) {
      await using store = await FaultyStore.make();
      const first = await store.open();
      await create(first, "s");
      await appendMany(first, "s", 1, 3);
      await store.end();
      await store.keepViews();
      const engine = await store.open();
      await appendMany(engine, "s", 4, 9);
      store.files.crashLosingAll();
      await store.end();
      await store.changeViews(views);
      const again = await store.open();
      const retry = await append(again, "s", { events: [note("p", 3), note("p", 9)], batch: true });
      expect(retry.results).toEqual([
        { seq: 3, deduped: true },
        { seq: 9, deduped: true },
      ]);
      await appendMany(again, "s", 10, 11);
    }
  });

  it("an append that its client gave up on still counts, and wakes whoever waits", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    const woken = new Promise<number>((resolve) => {
      engine.watch(sessionId("s"), () => {
        const lastSeq = engine.head(sessionId("s"))?.lastSeq ?? 0;
        if (lastSeq > 0) resolve(lastSeq);
      });
    });
    void appendOne(engine, "s", note("p", 1));
    expect(await woken).toBe(1);
    expect(await readAll(engine, "s")).toHaveLength(1);
  });

  it("an append that failed leaves nobody waiting: the next one wakes the same readers", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    let hints = 0;
    engine.watch(sessionId("s"), () => hints++);
    store.files.fault = ({ kind }) => (kind === "write" ? new Error("ENOSPC") : undefined);
    await expect(appendOne(engine, "s", note("p", 1))).rejects.toMatchObject({ code: "storage_unavailable" });
    store.files.fault = undefined;
    await expect.poll(() => appendOne(engine, "s", note("p", 1)).catch(() => 0), { interval: 1 }).toBe(1);
    await turn();
    const before = hints;
    await appendMany(engine, "s", 2, 2);
    await expect.poll(() => hints, { interval: 1 }).toBeGreaterThan(before);
  });
});
