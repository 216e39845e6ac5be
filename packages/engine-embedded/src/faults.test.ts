import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import {
  append,
  appendOne,
  archive,
  BY_ID,
  create,
  listAll,
  note,
  patch,
  readAll,
  sessionId,
} from "@daybook/engine/contract/commands";
import { FaultyFiles, FaultyStore, Random, snapshotOf, StoreProcess } from "@daybook/test-kit";
import { describe, expect, it } from "vitest";
import type { EmbeddedEngine } from "./engine.js";
import { segmentName } from "./frame-format.js";
import { openEngine } from "./open-engine.js";
import { StoreRefused } from "./refusals.js";

const noSpace = (): Error => Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function appendMany(engine: EmbeddedEngine, id: string, from: number, to: number): Promise<void> {
  for (let seq = from; seq <= to; seq++) expect(await appendOne(engine, id, note("p", seq))).toBe(seq);
}

/** Tries until the store takes appends again. */
async function recovered(engine: EmbeddedEngine, id: string, seq: number): Promise<void> {
  await expect.poll(() => appendOne(engine, id, note("p", seq)).catch(() => 0), { interval: 1 }).toBe(seq);
}

async function refusal(opening: Promise<unknown>): Promise<StoreRefused> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreRefused);
  return error as StoreRefused;
}

/** A store with one session of three events in small segments, closed. */
async function filledStore(store: FaultyStore, segmentBytes = 100_000): Promise<void> {
  const engine = await store.open({ segmentBytes });
  await create(engine, "s", { title: "a title", metadata: '{"color":"red"}' });
  await appendMany(engine, "s", 1, 3);
  await store.end();
}

describe("a full disk", () => {
  it("refuses the append, and everything decided on top of it; then goes on where it was", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    await appendMany(engine, "s", 1, 2);
    store.files.fault = ({ kind }) => (kind === "write" ? noSpace() : undefined);
    const lost = [
      appendOne(engine, "s", note("p", 3)),
      create(engine, "t"),
      appendOne(engine, "t", note("p", 1)),
      patch(engine, "s", { title: "lost" }),
      // These two only wait for what is lost.
      appendOne(engine, "s", note("p", 3)),
      appendOne(engine, "s", note("p", 9)),
    ];
    for (const outcome of await Promise.allSettled(lost)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { code: "storage_unavailable" } });
    }
    store.files.fault = undefined;
    await recovered(engine, "s", 3);
    expect(engine.head(sessionId("t"))).toBeUndefined();
    expect((await engine.session(sessionId("s")))?.header.title).toBeNull();
    expect(await listAll(engine, BY_ID)).toEqual(["s"]);
    expect(store.fatal).toEqual([]);
    const again = await store.reopen();
    expect(await readAll(again, "s")).toHaveLength(3);
    await create(again, "t");
    expect(await appendOne(again, "t", note("p", 1))).toBe(1);
  });

  it("loses also the batch that was filling while the failed one was in flight", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    let fail: () => void = () => undefined;
    const failing = new Promise<void>((resolve) => {
      fail = resolve;
    });
    store.files.gate = (kind) => (kind === "write" ? failing : undefined);
    store.files.fault = ({ kind }) => (kind === "write" ? noSpace() : undefined);
    const writes = (): number => store.files.calls.get("write") ?? 0;
    const before = writes();
    const first = appendOne(engine, "s", note("p", 1)).catch((error: unknown) => error);
    await expect.poll(writes, { interval: 1 }).toBe(before + 1);
    const second = appendOne(engine, "s", note("p", 2)).catch((error: unknown) => error);
    fail();
    expect(await Promise.all([first, second])).toMatchObject([
      { code: "storage_unavailable" },
      { code: "storage_unavailable" },
    ]);
    store.files.fault = undefined;
    await recovered(engine, "s", 1);
    expect(await readAll(await store.reopen(), "s")).toHaveLength(1);
  });

  it("takes back what a retry was compared with: its seq may be another event's by then", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ recentBytesMax: 0, flushDelayMs: 0 });
    await create(engine, "s");
    await appendMany(engine, "s", 1, 1);
    await listAll(engine, BY_ID);
    const [disk, reading] = [gate(), gate()];
    store.files.gate = (kind) => ({ write: disk.opened, read: reading.opened })[kind as string];
    store.files.fault = ({ kind }) => (kind === "write" ? noSpace() : undefined);
    const lost = appendOne(engine, "s", note("q", 1, '{"lost":1}')).catch((error: unknown) => error);
    const reads = (): number => store.files.calls.get("read") ?? 0;
    const before = reads();
    // Needs one event that is only on disk, and the one that is about to be lost.
    const retry = append(engine, "s", { events: [note("p", 1), note("q", 1, '{"lost":1}')], batch: true });
    await expect.poll(reads, { interval: 1 }).toBe(before + 1);
    store.files.gate = (kind) => (kind === "read" && reads() === before + 1 ? reading.opened : undefined);
    disk.open();
    expect(await lost).toMatchObject({ code: "storage_unavailable" });
    store.files.fault = undefined;
    await expect
      .poll(() => appendOne(engine, "s", note("q", 1, '{"other":1}')).catch(() => 0), { interval: 1 })
      .toBe(2);
    reading.open();
    await expect(retry).rejects.toMatchObject({ code: "producer_replay_conflict" });
  });

  it("leaves lists right, at once and after the next start", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ flushDelayMs: 100_000 });
    await create(engine, "a");
    store.files.fault = ({ kind }) => (kind === "write" ? noSpace() : undefined);
    await expect(create(engine, "b", { title: "much longer than what comes next" })).rejects.toThrow();
    expect(await listAll(engine, BY_ID)).toEqual(["a"]);
    store.files.fault = undefined;
    await expect
      .poll(
        () =>
          create(engine, "c")
            .then(() => true)
            .catch(() => false),
        { interval: 1 },
      )
      .toBe(true);
    expect(await listAll(engine, BY_ID)).toEqual(["a", "c"]);
    const again = await store.reopen();
    expect(await listAll(again, BY_ID)).toEqual(["a", "c"]);
    await create(again, "d");
    expect(await listAll(await store.reopen(), BY_ID)).toEqual(["a", "c", "d"]);
  });

  it("may come in the middle of a batch, and when a new segment is begun", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ segmentBytes: 300 });
    await create(engine, "s");
    const random = new Random(1);
    for (let seq = 1; seq <= 20; seq++) {
      let writes = 0;
      store.files.fault = ({ kind, length }) => {
        if (kind !== "write") return undefined;
        return writes++ === 0 ? random.upTo(length - 1) : noSpace();
      };
      await expect(appendOne(engine, "s", note("p", seq))).rejects.toMatchObject({
        code: "storage_unavailable",
      });
      store.files.fault = undefined;
      await recovered(engine, "s", seq);
    }
    expect(store.files.names.length).toBeGreaterThan(3);
    expect(await readAll(await store.reopen(), "s")).toHaveLength(20);
  });

  it("is no fault when the disk only writes a few bytes at a time", async () => {
    await using store = await FaultyStore.make();
    const random = new Random(2);
    store.files.fault = ({ kind, length }) => (kind === "write" ? random.between(1, length) : undefined);
    const engine = await store.open({ segmentBytes: 300 });
    await create(engine, "s");
    await appendMany(engine, "s", 1, 10);
    expect(await readAll(await store.reopen(), "s")).toHaveLength(10);
  });

  it("is seen coming: below the reserve appends are refused and reads go on, until there is room", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ reserveBytes: 1_000 });
    await create(engine, "s");
    await appendMany(engine, "s", 1, 1);
    store.files.free = 999;
    let taken = 1;
    await expect
      .poll(
        () =>
          appendOne(engine, "s", note("p", taken + 1)).then(
            () => ++taken > 0 && "taken",
            (error: unknown) => (error as { code: string }).code,
          ),
        { interval: 20, timeout: 5_000 },
      )
      .toBe("storage_unavailable");
    expect(await readAll(engine, "s")).toHaveLength(taken);
    expect(await listAll(engine, BY_ID)).toEqual(["s"]);
    store.files.free = 1_000;
    await expect
      .poll(() => appendOne(engine, "s", note("p", taken + 1)).catch(() => 0), {
        interval: 20,
        timeout: 5_000,
      })
      .toBe(taken + 1);
  });

  it("is not assumed when the disk cannot say how much is free", async () => {
    await using store = await FaultyStore.make();
    store.files.freeBytes = () => Promise.reject(new Error("EIO"));
    const engine = await store.open({ reserveBytes: 1_000 });
    await create(engine, "s");
    await appendMany(engine, "s", 1, 3);
  });
});

describe("a sync that fails", () => {
  it("is fatal: nothing of it is acknowledged, it is never asked again, and the next start recovers", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    await appendMany(engine, "s", 1, 2);
    store.files.fault = ({ kind }) => (kind === "sync" ? new Error("EIO") : undefined);
    const outcomes = await Promise.allSettled([
      appendOne(engine, "s", note("p", 3)),
      appendOne(engine, "s", note("p", 3)),
    ]);
    expect(outcomes).toMatchObject([
      { reason: { code: "storage_unavailable" } },
      { reason: { code: "storage_unavailable" } },
    ]);
    expect(store.fatal).toMatchObject([{ code: "sync_failed" }]);
    store.files.fault = undefined;
    const { calls } = store.files;
    const before = [calls.get("sync"), calls.get("write")];
    for (const later of [note("p", 3), note("p", 4), note("q", 1)]) {
      await expect(appendOne(engine, "s", later)).rejects.toMatchObject({ code: "storage_unavailable" });
    }
    expect(await readAll(engine, "s")).toHaveLength(2);
    await engine.close();
    expect([calls.get("sync"), calls.get("write")]).toEqual(before);
    // The kernel may have dropped those pages, or not.
    store.files.crash(new Random(3));
    const again = await store.reopen();
    expect([2, 3]).toContain((await readAll(again, "s")).length);
    expect(await appendOne(again, "s", note("p", 3))).toBe(3);
  });

  it("never gets what was decided on top of it into the views", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ flushDelayMs: 0 });
    await create(engine, "s");
    store.files.fault = ({ kind }) => (kind === "sync" ? new Error("EIO") : undefined);
    await Promise.allSettled([
      create(engine, "ghost", { title: "ghost" }),
      patch(engine, "s", { title: "ghost" }),
    ]);
    await engine.close();
    store.files.crashLosingAll();
    const again = await store.reopen();
    expect(await listAll(again, BY_ID)).toEqual(["s"]);
    expect((await again.session(sessionId("s")))?.header.title).toBeNull();
  });

  it("is fatal for the folder of a new segment too, and at start it refuses to open", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ segmentBytes: 300 });
    await create(engine, "s");
    store.files.fault = ({ kind }) => (kind === "syncFolder" ? new Error("EIO") : undefined);
    let seq = 0;
    await expect.poll(() => appendOne(engine, "s", note("p", ++seq)).catch(() => 0), { interval: 1 }).toBe(0);
    expect(store.fatal).toMatchObject([{ code: "sync_failed" }]);
    store.files.crashLosingAll();
    await store.end();
    store.files.fault = ({ kind }) => (kind === "sync" ? new Error("EIO") : undefined);
    await expect(store.open()).rejects.toThrow();
    store.files.fault = undefined;
    expect((await readAll(await store.open(), "s")).length).toBeGreaterThanOrEqual(seq - 1);
  });
});

describe("a file that cannot be read", () => {
  it("refuses the start and names the file, whether it cannot be opened or its bytes cannot be read", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    await store.changeViews("deleted");
    for (const kind of ["open", "read"]) {
      for (const name of store.files.names) {
        store.files.fault = (call) =>
          call.kind === kind && call.name === name ? new Error("EIO") : undefined;
        const refused = await refusal(store.open());
        expect(refused.code).toBe("unreadable");
        expect(refused.message).toContain(name);
        expect(store.files.openFiles).toBe(0);
      }
    }
    store.files.fault = undefined;
    expect(await readAll(await store.open(), "s")).toHaveLength(3);
  });

  it("while the store runs is a 503 for that read; others go on, and later it may work again", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    const engine = await store.open({ segmentBytes: 300 });
    for (const kind of ["open", "read"]) {
      store.files.fault = (call) => (call.kind === kind ? new Error("EIO") : undefined);
      if (kind === "read") {
        await expect(readAll(engine, "s")).rejects.toMatchObject({ code: "storage_unavailable" });
        await expect(engine.session(sessionId("s"))).rejects.toMatchObject({ code: "storage_unavailable" });
      }
      store.files.fault = undefined;
    }
    expect(await readAll(engine, "s")).toHaveLength(3);
    await appendMany(engine, "s", 4, 5);
    expect(store.fatal).toEqual([]);
  });
});

describe("a torn tail", () => {
  it("is cut at whatever byte it was torn, and said", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store);
    await store.changeViews("deleted");
    const name = segmentName(1);
    const whole = store.files.bytes(name);
    const lastBatch = whole.lastIndexOf("\x01BATCH") - 1;
    // The first byte of a batch is a zero, as is what was never written.
    for (let length = lastBatch + 2; length < whole.length; length += 3) {
      store.files = new FaultyFiles();
      store.files.put(name, whole.subarray(0, length));
      await store.changeViews("deleted");
      store.logged.length = 0;
      const engine = await store.open();
      expect(store.logged.join()).toContain("cut off");
      expect(await readAll(engine, "s")).toHaveLength(2);
      await appendMany(engine, "s", 3, 4);
      await store.end();
    }
  });

  it("is also one whose bytes came in another order: pages that were not written read as zeros", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store);
    const name = segmentName(1);
    const whole = store.files.bytes(name);
    const lastBatch = whole.lastIndexOf("\x01BATCH") - 1;
    for (let from = lastBatch; from < whole.length; from += 7) {
      for (const to of [from + 7, whole.length]) {
        const torn = Buffer.from(whole).fill(0, from, Math.min(to, whole.length));
        if (torn.equals(whole)) continue;
        store.files = new FaultyFiles();
        store.files.put(name, torn);
        await store.changeViews("deleted");
        const engine = await store.open();
        expect(await readAll(engine, "s")).toHaveLength(2);
        await store.end();
      }
    }
  });
});

describe("a flipped bit", () => {
  it("anywhere in the log is found: refused with file and offset, and nothing is changed", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store);
    const name = segmentName(1);
    const whole = store.files.bytes(name);
    const lastBatch = whole.lastIndexOf("\x01BATCH") - 1;
    for (let offset = 0; offset < lastBatch; offset += 5) {
      store.files = new FaultyFiles();
      store.files.put(name, Buffer.from(whole));
      store.files.flipBit(name, offset, offset % 8);
      const damaged = Buffer.from(store.files.bytes(name));
      await store.changeViews("deleted");
      const refused = await refusal(store.open());
      expect(refused.code).toBe("damaged");
      expect(refused.message).toContain(name);
      expect(store.files.bytes(name)).toEqual(damaged);
    }
  });

  it("in a sealed segment is found, its last batch too", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    const name = segmentName(1);
    const whole = store.files.bytes(name);
    for (let offset = 64; offset < whole.length; offset += 13) {
      await store.changeViews("deleted");
      store.files.flipBit(name, offset, 3);
      expect((await refusal(store.open())).code).toBe("damaged");
      store.files.flipBit(name, offset, 3);
    }
    expect(await readAll(await store.open(), "s")).toHaveLength(3);
  });

  it("under a running store is never served: the read fails, the store stops, the next start says where", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    const engine = await store.open({ segmentBytes: 300 });
    const name = segmentName(2);
    store.files.flipBit(name, store.files.bytes(name).length - 3, 1);
    await expect(readAll(engine, "s")).rejects.toMatchObject({ code: "storage_unavailable" });
    expect(store.fatal).toHaveLength(1);
    await store.end();
    const refused = await refusal(store.open());
    expect(refused).toMatchObject({ code: "damaged" });
    expect(refused.message).toContain(name);
  });
});

describe("a missing segment", () => {
  it("is refused by name when it is not the last", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    const { names } = store.files;
    for (const name of names.slice(0, -1)) {
      const bytes = store.files.bytes(name);
      store.files.lose(name);
      const refused = await refusal(store.open());
      expect(refused.code).toBe("damaged");
      expect(refused.message).toContain(name);
      store.files.put(name, bytes);
    }
    expect(await readAll(await store.open(), "s")).toHaveLength(3);
  });

  it("is refused when it is the last and the views know it was there", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    store.files.lose(store.files.names.at(-1) ?? "");
    expect((await refusal(store.open())).code).toBe("lost_tail");
  });

  it("is refused when all are missing and the views are not: that is no new store", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    for (const name of store.files.names) store.files.lose(name);
    expect((await refusal(store.open())).code).toBe("lost_tail");
    expect(store.files.names).toEqual([]);
  });

  it("is refused when it is another store's", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    await using other = await FaultyStore.make();
    await filledStore(other, 300);
    const name = store.files.names.at(-1) ?? "";
    store.files.put(name, other.files.bytes(name));
    expect((await refusal(store.open())).code).toBe("damaged");
  });
});

describe("a log that is shorter than it was", () => {
  it("is refused when the views stand past its end, and says how to go on", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store);
    const name = segmentName(1);
    const whole = store.files.bytes(name);
    for (const length of [whole.length - 1, whole.lastIndexOf("\x01BATCH") - 1, 64]) {
      store.files.put(name, whole.subarray(0, length));
      const refused = await refusal(store.open());
      expect(refused.code).toBe("lost_tail");
      expect(refused.message).toContain("--accept-loss");
      expect(store.files.bytes(name)).toHaveLength(length);
    }
    store.files.put(name, whole);
    expect(await readAll(await store.open(), "s")).toHaveLength(3);
  });

  it("is refused when a sealed segment lost its end, also without views", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    const name = segmentName(2);
    const whole = store.files.bytes(name);
    store.files.put(name, whole.subarray(0, whole.lastIndexOf("\x01BATCH") - 1));
    await store.changeViews("deleted");
    expect((await refusal(store.open())).code).toBe("damaged");
  });
});

describe("views that are of no use", () => {
  /** Changes the views' folder while the store is closed; the next start must give the same answers. */
  async function expectRebuilt(change: (folder: string) => Promise<void>): Promise<void> {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    for (const id of ["a", "b", "c"]) await create(engine, id, { title: id, metadata: '{"color":"red"}' });
    await append(engine, "a", { events: [note("p", 1), note("p", 2)], batch: true });
    await archive(engine, "b", true);
    const before = await snapshotOf(engine, ["a", "b", "c"]);
    await store.end();
    await change(store.views);
    store.logged.length = 0;
    const again = await store.open();
    expect(await snapshotOf(again, ["a", "b", "c"])).toEqual(before);
    expect(await appendOne(again, "a", note("p", 2))).toBe(2);
    expect(await appendOne(again, "a", note("p", 3))).toBe(3);
    expect(store.logged.length).toBeGreaterThan(0);
    expect(store.fatal).toEqual([]);
  }

  /** Changes what is remembered beside the views. */
  async function rewriteSidecar(folder: string, change: object): Promise<void> {
    const path = join(folder, "sidecar.json");
    const sidecar = JSON.parse(await readFile(path, "utf8")) as object;
    await writeFile(path, JSON.stringify({ ...sidecar, ...change }));
  }

  it("because they are missing, are made again", () =>
    expectRebuilt(async (folder) => {
      for (const name of await readdir(folder)) await rm(join(folder, name));
    }));

  it("because they were cut short, are made again", () =>
    expectRebuilt(async (folder) => {
      const data = await readFile(join(folder, "data.mdb"));
      await writeFile(join(folder, "data.mdb"), data.subarray(0, data.length - 4096));
    }));

  it("because nobody knows how long they were, are made again", () =>
    expectRebuilt((folder) => writeFile(join(folder, "sidecar.json"), "what?")));

  it("because they turned to garbage after a clean stop, end one start at most; the next one makes them again", async () => {
    const folder = await mkdtemp(join(tmpdir(), "daybook-garbage-"));
    try {
      const engine = await openEngine(folder);
      await create(engine, "s");
      await appendMany(engine, "s", 1, 3);
      await engine.close();
      const data = join(folder, "views", "data.mdb");
      const { length } = await readFile(data);
      await writeFile(data, Buffer.alloc(length, 0x5a));
      // LMDB trusts its file and may end the process.
      await new StoreProcess(folder, "close").ended;
      const again = await openEngine(folder);
      expect(await listAll(again, BY_ID)).toEqual(["s"]);
      expect(await readAll(again, "s")).toHaveLength(3);
      await again.close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("because the machine went down while they were open, are made again", () =>
    expectRebuilt((folder) => rewriteSidecar(folder, { state: "open", boot: "another" })));

  it("because the machine went down, prove all the same how far the log was durable", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open();
    await create(engine, "s");
    await appendMany(engine, "s", 1, 3);
    await store.end();
    await rewriteSidecar(store.views, { state: "open", boot: "another" });
    const [name = ""] = store.files.names;
    const bytes = Buffer.from(store.files.bytes(name));
    for (const lost of [
      bytes.subarray(0, bytes.length - 1),
      Buffer.from(bytes).fill(0, bytes.length - 400),
    ]) {
      store.files.put(name, lost);
      const { code } = await refusal(store.open());
      expect(["lost_tail", "damaged"]).toContain(code);
    }
    store.files.put(name, bytes);
    expect(await readAll(await store.open(), "s")).toHaveLength(3);
  });

  it("because they are garbage after an unclean stop, are made again", () =>
    expectRebuilt(async (folder) => {
      const data = await readFile(join(folder, "data.mdb"));
      await writeFile(join(folder, "data.mdb"), Buffer.from(data).fill(0x5a, 8192));
      await rewriteSidecar(folder, { state: "open" });
    }));

  it("because a later version made them, or another store, are made again", async () => {
    for (const format of ["999:00", "1:ffffffffffffffffffffffffffffffff"]) {
      await expectRebuilt(async (folder) => {
        const { open } = await import("lmdb");
        const database = open<string, string[]>({ path: folder, encoding: "msgpack" });
        await database.put(["meta", "format"], format);
        await database.close();
        const { length } = await readFile(join(folder, "data.mdb"));
        await rewriteSidecar(folder, { size: length, state: "closed" });
      });
    }
  });
});

describe("a clock that is set back", () => {
  it("moves no time back over a restart, also when the views that knew it are gone", async () => {
    for (const views of ["kept", "deleted", "older"] as const) {
      await using store = await FaultyStore.make();
      const engine = await store.open({ clock: () => 5_000 });
      await create(engine, "s");
      await store.end();
      await store.keepViews();
      const later = await store.open({ clock: () => 9_000 });
      await appendMany(later, "s", 1, 1);
      await store.end();
      await store.changeViews(views);
      const back = await store.open({ clock: () => 1_000 });
      await appendMany(back, "s", 2, 2);
      const times = (await readAll(back, "s")).map(
        (event) => (JSON.parse(event) as { inserted_at: string }).inserted_at,
      );
      expect(times).toEqual([new Date(9_000).toISOString(), new Date(9_000).toISOString()]);
    }
  });
});

describe("a log of a format that is not known", () => {
  it("is refused, and nothing is changed", async () => {
    await using store = await FaultyStore.make();
    await filledStore(store, 300);
    for (const name of store.files.names) {
      const bytes = Buffer.from(store.files.bytes(name));
      const before = store.files.bytes(name);
      bytes.writeUInt32LE(2, 12);
      bytes.writeUInt32LE(crc32(bytes.subarray(12, 64)), 8);
      store.files.put(name, bytes);
      const refused = await refusal(store.open());
      expect(refused.code).toBe("unknown_format");
      expect(refused.message).toContain(name);
      expect(store.files.bytes(name)).toEqual(bytes);
      store.files.put(name, before);
    }
    expect(await readAll(await store.open(), "s")).toHaveLength(3);
  });
});
