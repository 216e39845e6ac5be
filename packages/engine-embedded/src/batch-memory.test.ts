import type { StoredEvent } from "@daybook/engine";
import { appendOne, BY_ID, create, note, readAll, sessionId } from "@daybook/engine/contract/commands";
import { FaultyStore, Random } from "@daybook/test-kit";
import { describe, expect, it, vi } from "vitest";
import type { EmbeddedEngine } from "./engine.js";
import type { EventBlock } from "./event-block.js";
import type { LiveLog } from "./live-log.js";

const SLAB_BYTES = 256 * 1024;
const SPLIT_MAX = 256;
const PAGE = { eventsMax: 50, bytesMax: 1024 * 1024 };
const SESSIONS = ["a", "b", "c"];

/** A page that was in memory: read without waiting. */
function recent(engine: EmbeddedEngine, id: string, afterSeq: number): readonly StoredEvent[] {
  const page = engine.read(sessionId(id), afterSeq, PAGE);
  return "events" in page ? page.events : [];
}

/** What a reader has kept, next to what it was when it was read. */
class Kept {
  private readonly events: { readonly event: StoredEvent; readonly text: string }[] = [];
  bytes = 0;

  add(events: readonly StoredEvent[]): void {
    for (const event of events) {
      this.events.push({ event, text: event.bytes.toString("utf8") });
      this.bytes += event.bytes.length;
    }
  }

  /** Those that are something else by now. */
  get changed(): number[] {
    return this.events.flatMap(({ event, text }) => (event.bytes.equals(Buffer.from(text)) ? [] : event.seq));
  }
}

function logOf(engine: EmbeddedEngine, id: string): LiveLog {
  const { table } = (engine as unknown as { store: { table: { find(id: unknown): LiveLog } } }).store;
  return table.find(sessionId(id));
}

const blocksOf = (log: LiveLog): readonly EventBlock[] =>
  (log as unknown as { readonly blocks: readonly EventBlock[] }).blocks;

describe("the memory of batches", () => {
  it.each([0, 3 * SLAB_BYTES])(
    "is used again, and events that were read from it stay what they were (recentBytesMax %i)",
    async (recentBytesMax) => {
      await using store = await FaultyStore.make();
      const allocated = vi.spyOn(Buffer, "allocUnsafeSlow");
      const engine = await store.open({
        ...{ recentBytesMax, flushDelayMs: 0 },
        ...{ viewLagBytesMax: 4 * SLAB_BYTES, segmentBytes: 4 * SLAB_BYTES },
      });
      const random = new Random(recentBytesMax + 1);
      const kept = new Kept();
      // One that follows, as a tail does: it reads on whenever it is told that there is more.
      const followed = new Kept();
      const cursors = new Map(SESSIONS.map((id) => [id, 0]));
      for (const id of SESSIONS) {
        await create(engine, id);
        engine.watch(sessionId(id), () => {
          const events = recent(engine, id, cursors.get(id) ?? 0);
          followed.add(events);
          cursors.set(id, events.at(-1)?.seq ?? cursors.get(id) ?? 0);
        });
      }
      const written = new Map<string, string[]>(SESSIONS.map((id) => [id, []]));
      const write = async (id: string, count: number): Promise<void> => {
        for (let index = 0; index < count; index++) {
          // Now and then one for which a slab is too small.
          const length = random.chance(0.02) ? 300_000 : random.between(10, 20_000);
          const fill = random.pick(["a", "b", "c", "d", "e", "f", "é"]).repeat(length);
          const seq = await appendOne(engine, id, note("p", index + 1, `{"fill":"${fill}"}`));
          written.get(id)?.push(fill);
          kept.add(recent(engine, id, Math.max(0, seq - random.between(1, 4))));
        }
      };
      await Promise.all(SESSIONS.map((id) => write(id, 400)));
      const bytes = SESSIONS.flatMap((id) => written.get(id) ?? []).reduce(
        (sum, fill) => sum + Buffer.byteLength(fill),
        0,
      );
      const slabs = allocated.mock.calls.filter(([size]) => size === SLAB_BYTES).length;
      allocated.mockRestore();
      // Filled many times over, each of them.
      expect(bytes / SLAB_BYTES).toBeGreaterThan(slabs * 3);
      expect(kept.bytes).toBeGreaterThan(bytes / 2);
      expect(followed.bytes).toBeGreaterThan(bytes / 2);
      expect(kept.changed).toEqual([]);
      expect(followed.changed).toEqual([]);
      for (const id of SESSIONS) {
        const stored = await readAll(engine, id);
        expect(
          stored.map((text) => (JSON.parse(text) as { payload: { fill: string } }).payload.fill),
        ).toEqual(written.get(id));
      }
    },
  );

  it("cannot be read through a block that left memory", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ recentBytesMax: 0, flushDelayMs: 60_000 });
    await create(engine, "s");
    await appendOne(engine, "s", note("p", 1, `{"of":"first"}`));
    const log = logOf(engine, "s");
    const [block] = blocksOf(log) as [EventBlock];
    const [event] = block.events as [StoredEvent];
    const text = event.bytes.toString("utf8");
    expect(block.json(1)).toBe(text);
    const list = { ...BY_ID, limit: 1 };
    // A list has the views written, and behind them nothing is kept here.
    await engine.list(list);
    await expect.poll(() => log.hasBlocks).toBe(false);
    expect(() => block.json(1)).toThrow("a batch is read that was let go of");
    expect(() => block.events).toThrow("a batch is read that was let go of");
    for (let seq = 2; seq < 50; seq++) {
      await appendOne(engine, "s", note("p", seq, `{"fill":"${"z".repeat(20_000)}"}`));
      await engine.list(list);
    }
    expect(event.bytes.toString("utf8")).toBe(text);
  });

  it("has an engine's events apart for its own readers, whatever is read of another one", async () => {
    await using one = await FaultyStore.make();
    await using other = await FaultyStore.make();
    const [mine, busy] = [
      await one.open({ flushDelayMs: 60_000 }),
      await other.open({ flushDelayMs: 60_000 }),
    ];
    for (const engine of [mine, busy]) await create(engine, "s");
    await appendOne(mine, "s", note("p", 1));
    const events = recent(mine, "s", 0);
    expect(recent(mine, "s", 0)).toBe(events);
    const seen = new Set<readonly StoredEvent[]>();
    for (let seq = 1; seq <= SPLIT_MAX; seq++) {
      await appendOne(busy, "s", note("p", seq));
      seen.add(recent(busy, "s", seq - 1));
    }
    expect(seen.size).toBe(SPLIT_MAX);
    expect(recent(mine, "s", 0)).toBe(events);
  });

  it("is used again after a write failed, and no reader is shown what was lost", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open({ recentBytesMax: 0, flushDelayMs: 0 });
    await create(engine, "s");
    const kept = new Kept();
    const stored: string[] = [];
    for (let round = 0; round < 60; round++) {
      const isLost = round % 5 === 4;
      if (isLost) store.files.fault = ({ kind }) => (kind === "write" ? new Error("no write") : undefined);
      const outcomes = await Promise.allSettled(
        ["x", "y", "z"].map((producer) =>
          appendOne(engine, "s", note(`${producer}${round}`, 1, `{"fill":"${producer.repeat(30_000)}"}`)),
        ),
      );
      store.files.fault = undefined;
      expect(outcomes.map(({ status }) => status)).toEqual(Array(3).fill(isLost ? "rejected" : "fulfilled"));
      const before = stored.length;
      if (!isLost) stored.push(...["x", "y", "z"].map((producer) => `${producer}${round}`));
      // Until what was decided on the lost ones is taken back, appends are refused.
      else await vi.waitFor(() => appendOne(engine, "s", note(`again${round}`, 1)), { interval: 1 });
      if (isLost) stored.push(`again${round}`);
      kept.add(recent(engine, "s", before));
    }
    expect(kept.bytes).toBeGreaterThan(100 * 30_000);
    expect(kept.changed).toEqual([]);
    const producers = (await readAll(engine, "s")).map(
      (text) => (JSON.parse(text) as { producer_id: string }).producer_id,
    );
    expect(producers).toEqual(stored);
  });
});
