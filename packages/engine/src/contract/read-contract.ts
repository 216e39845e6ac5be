import { describe, expect, it } from "vitest";
import type { ReadLimits } from "../engine.js";
import {
  ALL,
  append,
  appendOne,
  archive,
  create,
  erase,
  note,
  patch,
  readAll,
  sessionId,
} from "./commands.js";
import type { OpenStore } from "./open-store.js";

/** What every engine promises to those who read and watch. */
export function describeReads(store: OpenStore): void {
  describe("reading", () => {
    const fill = async (count: number): Promise<string[]> => {
      await create(store.engine(), "s");
      for (let first = 1; first <= count; first += 100) {
        const events = Array.from({ length: Math.min(100, count - first + 1) }, (_, index) =>
          note(
            "p",
            first + index,
            `{"n":${first + index},"fill":"${"x".repeat((first * 37 + index) % 300)}"}`,
          ),
        );
        await append(store.engine(), "s", { events, batch: true });
      }
      return readAll(store.engine(), "s");
    };

    it("gives the same pages whatever the limits, contiguous, from any cursor", async () => {
      const all = await fill(1_000);
      expect(all).toHaveLength(1_000);
      await store.reopened();
      const limits: ReadLimits[] = [
        { eventsMax: 1_000, bytesMax: 1 },
        { eventsMax: 7, bytesMax: 1_000_000 },
        { eventsMax: 100, bytesMax: 5_000 },
        ALL,
      ];
      for (const limit of limits) {
        for (const cursor of [0, 1, 99, 100, 101, 500, 998, 999]) {
          const { events, lastSeq } = await store.engine().read(sessionId("s"), cursor, limit);
          expect(lastSeq).toBe(1_000);
          expect(events.length).toBeGreaterThan(0);
          expect(events.length).toBeLessThanOrEqual(limit.eventsMax);
          expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => cursor + 1 + index));
          expect(events.map(({ bytes }) => bytes.toString("utf8"))).toEqual(
            all.slice(cursor, cursor + events.length),
          );
        }
      }
    });

    it("keeps to the bytes asked for, but never holds back the first event", async () => {
      await fill(50);
      const { events } = await store.engine().read(sessionId("s"), 0, { eventsMax: 50, bytesMax: 2_000 });
      const bytes = events.reduce((sum, event) => sum + event.bytes.length, 0);
      expect(bytes).toBeLessThanOrEqual(2_000);
      const one = await store.engine().read(sessionId("s"), 0, { eventsMax: 50, bytesMax: 1 });
      expect(one.events).toHaveLength(1);
    });

    it("gives an empty page at the end, and beyond it", async () => {
      await fill(3);
      expect(await store.engine().read(sessionId("s"), 3, ALL)).toEqual({ events: [], lastSeq: 3 });
      expect(await store.engine().read(sessionId("s"), 30, ALL)).toEqual({ events: [], lastSeq: 3 });
    });

    it("knows no session that never was", async () => {
      await expect((async () => store.engine().read(sessionId("s"), 0, ALL))()).rejects.toMatchObject({
        code: "session_not_found",
      });
      expect(store.engine().head(sessionId("s"))).toBeUndefined();
      expect(await store.engine().session(sessionId("s"))).toBeUndefined();
    });
  });

  describe("watching", () => {
    it("hints at every move of the head: events, header changes, deletion", async () => {
      await create(store.engine(), "s");
      let hints = 0;
      store.engine().watch(sessionId("s"), () => hints++);
      const moves = [
        (): Promise<unknown> => appendOne(store.engine(), "s", note("p", 1)),
        (): Promise<unknown> => patch(store.engine(), "s", { title: "x" }),
        (): Promise<unknown> => archive(store.engine(), "s", true),
        (): Promise<unknown> => erase(store.engine(), "s"),
      ];
      for (const move of moves) {
        const before = hints;
        await move();
        await expect.poll(() => hints, { interval: 1 }).toBeGreaterThan(before);
      }
    });

    it("comes when what it hints at can be read", async () => {
      await create(store.engine(), "s");
      const seen: number[] = [];
      store
        .engine()
        .watch(sessionId("s"), () => seen.push(store.engine().head(sessionId("s"))?.lastSeq ?? 0));
      await appendOne(store.engine(), "s", note("p", 1));
      // The first hint may still be that of the create.
      await expect.poll(() => seen.at(-1), { interval: 1 }).toBe(1);
    });

    it("ends when it is told to, and others go on", async () => {
      await create(store.engine(), "s");
      let ended = 0;
      let others = 0;
      const end = store.engine().watch(sessionId("s"), () => ended++);
      store.engine().watch(sessionId("s"), () => others++);
      end();
      end();
      await appendOne(store.engine(), "s", note("p", 1));
      await expect.poll(() => others, { interval: 1 }).toBeGreaterThan(0);
      expect(ended).toBe(0);
    });

    it("of a log that is not there hints at its creation, and goes on from there", async () => {
      const seen: number[] = [];
      let ended = 0;
      store
        .engine()
        .watch(sessionId("later"), () => seen.push(store.engine().head(sessionId("later"))?.lastSeq ?? -1));
      store.engine().watch(sessionId("later"), () => ended++)();
      store.engine().watch(sessionId("never"), () => expect.fail("there is nothing"));
      await expect(appendOne(store.engine(), "later", note("p", 1))).rejects.toMatchObject({
        code: "session_not_found",
      });
      await create(store.engine(), "later");
      await expect.poll(() => seen, { interval: 1 }).toEqual([0]);
      await appendOne(store.engine(), "later", note("p", 1));
      await expect.poll(() => seen.at(-1), { interval: 1 }).toBe(1);
      expect(ended).toBe(0);
    });
  });
}
