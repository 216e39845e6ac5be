import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Engine } from "../engine.js";
import { describeAgentState } from "./agent-state-contract.js";
import { describeAppends } from "./append-contract.js";
import { ALL, append, appendOne, BY_ID, create, fork, note, patch, readAll, sessionId } from "./commands.js";
import { describeForks } from "./fork-contract.js";
import { History } from "./history.js";
import { describeList } from "./list-contract.js";
import { describeMessages } from "./message-contract.js";
import type { OpenStore } from "./open-store.js";
import { describeReads } from "./read-contract.js";
import { describeSessions } from "./session-contract.js";

/** A store that an engine is opened on, again after it was closed. */
export interface StoreUnderContract {
  open(settings?: { readonly clock?: () => number }): Promise<Engine>;
  /** After the last engine was closed. */
  remove(): Promise<void>;
}

/** The tests that every engine must pass. What they name, a caller of an engine may rely on. */
export function describeEngine(name: string, makeStore: () => Promise<StoreUnderContract>): void {
  describe(`${name}: the engine contract`, () => {
    let store: StoreUnderContract;
    let engine: Engine;
    const clock = { nowMs: 0 };
    const open = (): Promise<Engine> => store.open({ clock: () => clock.nowMs });

    beforeEach(async () => {
      clock.nowMs = 1_700_000_000_000;
      store = await makeStore();
      engine = await open();
    });

    afterEach(async () => {
      await engine.close();
      await store.remove();
    });

    const reopened = async (): Promise<Engine | undefined> => {
      if (!engine.features.durable) return undefined;
      await engine.close();
      engine = await open();
      return engine;
    };

    const openStore: OpenStore = { engine: () => engine, reopened, clock };
    describeAppends(openStore);
    describeReads(openStore);
    describeSessions(openStore);
    describeAgentState(openStore);
    describeList(openStore);
    describeForks(openStore);
    describeMessages(openStore);

    describe("time", () => {
      it("never goes back in inserted_at, although the clock does, and not over a restart either", async () => {
        await create(engine, "s");
        const startedAt = clock.nowMs;
        const times = [startedAt + 100, startedAt - 5_000, startedAt + 50, startedAt + 200];
        for (const [index, atMs] of times.entries()) {
          clock.nowMs = atMs;
          await appendOne(engine, "s", note("p", index + 1));
        }
        clock.nowMs = startedAt - 60_000;
        await reopened();
        await appendOne(engine, "s", note("p", 5));
        await patch(engine, "s", { title: "x" });
        const inserted = (await readAll(engine, "s")).map((event) =>
          Date.parse((JSON.parse(event) as { inserted_at: string }).inserted_at),
        );
        expect(inserted.map((atMs) => atMs - startedAt)).toEqual([100, 100, 100, 200, 200]);
        expect(engine.head(sessionId("s"))?.updatedAtMs).toBe(startedAt + 200);
      });
    });

    describe("closing", () => {
      it("refuses whatever comes later with shutting_down", async () => {
        await create(engine, "s");
        await appendOne(engine, "s", note("p", 1));
        await engine.close();
        const later: (() => unknown)[] = [
          () => appendOne(engine, "s", note("p", 2)),
          () => engine.read(sessionId("s"), 0, ALL),
          () => engine.session(sessionId("s")),
          () => engine.list(BY_ID),
          () => engine.head(sessionId("s")),
          () => engine.head(sessionId("never seen")),
          () => engine.watch(sessionId("s"), () => undefined),
        ];
        for (const call of later) {
          await expect((async () => await call())()).rejects.toMatchObject({ code: "shutting_down" });
        }
        await engine.close();
      });

      it("finishes what is in flight: each append was stored or refused, and what was answered is there", async () => {
        await create(engine, "s");
        const appends = Array.from({ length: 100 }, (_, index) =>
          appendOne(engine, "s", note("p", index + 1)),
        );
        const outcomes = Promise.allSettled(appends);
        await engine.close();
        const stored = (await outcomes).filter(({ status }) => status === "fulfilled").length;
        expect(stored).toBe(100);
        if (!engine.features.durable) return;
        engine = await store.open();
        expect(await readAll(engine, "s")).toHaveLength(100);
      });
    });

    it("a concurrent history of one session is linearizable", async () => {
      await create(engine, "s");
      const history = new History();
      const writer = async (name: string): Promise<void> => {
        for (let seq = 1; seq <= 60;) {
          const events = Array.from({ length: 1 + (seq % 3) }, (_, index) => note(name, seq + index));
          seq += events.length;
          await history.append(async () => {
            const { results } = await append(engine, "s", { events, batch: true });
            return results.map((result) => result.seq);
          });
        }
      };
      const reader = async (step: number): Promise<void> => {
        for (let cursor = 0; (engine.head(sessionId("s"))?.lastSeq ?? 0) < 180;) {
          await history.read(cursor, async () => {
            const page = await engine.read(sessionId("s"), cursor, { eventsMax: step, bytesMax: 100_000 });
            const seen = cursor;
            cursor = step === 1 ? page.lastSeq >> 1 : cursor + page.events.length;
            expect(page.events.every(({ seq }, index) => seq === seen + 1 + index)).toBe(true);
            return { events: page.events.map(({ bytes }) => bytes.toString("utf8")), lastSeq: page.lastSeq };
          });
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const forks: string[] = [];
      // To fork a session is to read where it ends.
      const forker = async (): Promise<void> => {
        while ((engine.head(sessionId("s"))?.lastSeq ?? 0) < 180) {
          const id = `fork${forks.length}`;
          await history.read(Infinity, async () => {
            await fork(engine, "s", id);
            forks.push(id);
            return { events: [], lastSeq: engine.head(sessionId(id))?.forkedFrom?.seq ?? -1 };
          });
        }
      };
      await Promise.all([...["a", "b", "c"].map(writer), ...[1, 5, 1_000].map(reader), ...[forker()]]);
      const log = await readAll(engine, "s");
      expect(history.whyNotLinearizable(log)).toBeUndefined();
      expect(forks.length).toBeGreaterThan(1);
      for (const id of forks) {
        const shared = await readAll(engine, id);
        expect(shared).toEqual(log.slice(0, shared.length));
      }
      expect(history.operations.filter(({ kind }) => kind === "read").length).toBeGreaterThan(50);
    });
  });
}
