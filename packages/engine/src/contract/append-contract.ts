import { encodeEvent, type KeyVersion, readStateChange, seqOfPair } from "@daybook/core";
import { LIMITS, RawJson } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import {
  ALL,
  append,
  appendOne,
  closeSession,
  create,
  factsOf,
  note,
  patch,
  readAll,
  sessionId,
} from "./commands.js";
import type { OpenStore } from "./open-store.js";

/** What every engine promises of appends, their retries and what they are decided on. */
export function describeAppends(store: OpenStore): void {
  describe("appending", () => {
    it("gives contiguous seqs from 1 to whatever arrives at once, in the order it was asked", async () => {
      await create(store.engine(), "s");
      const seqs = await Promise.all(
        Array.from({ length: 300 }, (_, index) =>
          appendOne(store.engine(), "s", note(`p${index % 7}`, 1 + Math.floor(index / 7))),
        ),
      );
      expect(seqs).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
      expect(store.engine().head(sessionId("s"))?.lastSeq).toBe(300);
    });

    it("counts every session for itself", async () => {
      await Promise.all(["a", "b", "c"].map((id) => create(store.engine(), id)));
      const rounds = await Promise.all(
        [1, 2, 3].map((seq) =>
          Promise.all(["a", "b", "c"].map((id) => appendOne(store.engine(), id, note("p", seq)))),
        ),
      );
      expect(rounds).toEqual([1, 2, 3].map((seq) => [seq, seq, seq]));
    });

    it("has the event readable when it is acknowledged, with its exact text", async () => {
      await create(store.engine(), "s");
      const payload = '{ "b":1.0, "a" : 9007199254740993, "__proto__":{}, "u":"\\u00e9é😀" }';
      const event = note("p", 1, payload);
      await appendOne(store.engine(), "s", event);
      const { events } = await store.engine().read(sessionId("s"), 0, ALL);
      const text = encodeEvent(event, 1, new Date(store.clock.nowMs).toISOString());
      expect(events.map(({ bytes }) => bytes.toString("utf8"))).toEqual([text]);
      expect(await readAll((await store.reopened()) ?? store.engine(), "s")).toEqual([text]);
    });

    it("stores a batch of the largest size whole, and none of a refused one", async () => {
      await create(store.engine(), "s");
      const events = Array.from({ length: LIMITS.batchEventsMax }, (_, index) => note("p", index + 1));
      const { results } = await append(store.engine(), "s", { events, batch: true });
      expect(results.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
      const broken = [note("p", 1_001), note("p", 1_002), note("p", 1_009)];
      await expect(append(store.engine(), "s", { events: broken, batch: true })).rejects.toMatchObject({
        code: "producer_seq_conflict",
        details: { index: 2 },
      });
      expect(await readAll(store.engine(), "s")).toHaveLength(1_000);
    });

    it("stores the largest event beside small ones", async () => {
      await create(store.engine(), "s");
      const large = `{"text":"${"é".repeat(LIMITS.eventBytesMax / 2)}"}`;
      const payloads = ["{}", large, '{"n":1}'];
      await Promise.all(
        payloads.map((payload, index) => appendOne(store.engine(), "s", note("p", index + 1, payload))),
      );
      const check = async (): Promise<void> => {
        const events = await readAll(store.engine(), "s");
        expect(events.map((event) => event.length)).toEqual(
          payloads.map((payload, index) => encodeEvent(note("p", index + 1, payload), 1, NOW_TEXT).length),
        );
      };
      await check();
      if (await store.reopened()) await check();
    });

    it("decides each command on what those before it did, although nothing is durable yet", async () => {
      await create(store.engine(), "s");
      const tries = [1, 2, 3].map((seq) =>
        append(store.engine(), "s", { events: [note(`p${seq}`, 1)], batch: false, expectedSeq: 0 }),
      );
      const outcomes = await Promise.allSettled(tries);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
      expect(await readAll(store.engine(), "s")).toHaveLength(1);
    });

    it("tells decide that there is no log, and stores nothing when decide refuses or throws", async () => {
      await expect(appendOne(store.engine(), "s", note("p", 1))).rejects.toMatchObject({
        code: "session_not_found",
      });
      const thrown = store.engine().transact(sessionId("s"), {}, () => {
        throw new Error("a defect");
      });
      await expect(thrown).rejects.toThrow("a defect");
      expect(store.engine().head(sessionId("s"))).toBeUndefined();
      await create(store.engine(), "s");
      expect(store.engine().head(sessionId("s"))).toMatchObject({ position: 1, lastSeq: 0 });
    });

    it("refuses a closed session", async () => {
      await create(store.engine(), "s");
      await appendOne(store.engine(), "s", note("p", 1));
      await closeSession(store.engine(), "s");
      expect(store.engine().head(sessionId("s"))).toMatchObject({ status: "closed", lastSeq: 1 });
      await expect(appendOne(store.engine(), "s", note("p", 2))).rejects.toMatchObject({
        code: "session_closed",
      });
      expect(await appendOne(store.engine(), "s", note("p", 1))).toBe(1);
    });
  });

  describe("a retry", () => {
    it("answers the first seq, later, at once and after a restart", async () => {
      await create(store.engine(), "s");
      const command = { events: [note("p", 5), note("p", 6)], batch: true };
      const both = await Promise.all([
        append(store.engine(), "s", command),
        append(store.engine(), "s", command),
      ]);
      expect(both.map(({ results }) => results.map(({ seq, deduped }) => [seq, deduped]))).toEqual([
        [
          [1, false],
          [2, false],
        ],
        [
          [1, true],
          [2, true],
        ],
      ]);
      await appendOne(store.engine(), "s", note("q", 1));
      for (let restart = 0; restart < 3; restart++) {
        const { results, lastSeq } = await append(store.engine(), "s", command);
        expect(results.map(({ seq, deduped }) => [seq, deduped])).toEqual([
          [1, true],
          [2, true],
        ]);
        expect(lastSeq).toBe(3);
        await store.reopened();
      }
    });

    it("with other content is a conflict, in flight and after a restart", async () => {
      await create(store.engine(), "s");
      const first = appendOne(store.engine(), "s", note("p", 1, '{"a":1}'));
      await expect(appendOne(store.engine(), "s", note("p", 1, '{"a":2}'))).rejects.toMatchObject({
        code: "producer_replay_conflict",
      });
      expect(await first).toBe(1);
      await store.reopened();
      await expect(appendOne(store.engine(), "s", note("p", 1, '{"a":2}'))).rejects.toMatchObject({
        code: "producer_replay_conflict",
      });
    });

    it("is recognised 1,024 pairs back and refused beyond, also after a restart", async () => {
      await create(store.engine(), "s");
      for (let first = 1; first <= 1_501; first += 500) {
        const events = Array.from({ length: 500 }, (_, index) => note("p", first + index));
        await append(store.engine(), "s", { events, batch: true });
      }
      const oldest = 2_000 - LIMITS.producerPairsMax + 1;
      for (let restart = 0; restart < 2; restart++) {
        expect(await appendOne(store.engine(), "s", note("p", oldest))).toBe(oldest);
        await expect(appendOne(store.engine(), "s", note("p", oldest - 1))).rejects.toMatchObject({
          code: "producer_seq_conflict",
        });
        await store.reopened();
      }
    });
  });

  describe("the facts given to decide", () => {
    it("are producer windows and key versions, the same after a restart", async () => {
      await create(store.engine(), "s");
      const change = (text: string): ReturnType<typeof readStateChange> =>
        readStateChange(new RawJson(text, "object"));
      await appendOne(store.engine(), "s", { ...note("p", 7), state: change('{"set":{"k":1,"l":2}}') });
      await appendOne(store.engine(), "s", {
        ...note("p", 8),
        state: change('{"delete":["k"],"set":{"l":3}}'),
      });
      for (let restart = 0; restart < 2; restart++) {
        const facts = await factsOf(store.engine(), "s", { keys: ["k", "l", "m"] }, (_head, given) => ({
          keys: ["k", "l", "m"].map((key): KeyVersion | undefined => given.key(key)),
          window: [6, 7, 8, 9].map((seq) => {
            const window = given.producer("p");
            return window === undefined ? undefined : seqOfPair(window, seq);
          }),
          stranger: given.producer("q"),
        }));
        expect(facts).toEqual({
          keys: [{ version: 2, seq: 2, deleted: true }, { version: 2, seq: 2, deleted: false }, undefined],
          window: [undefined, 1, 2, undefined],
          stranger: undefined,
        });
        await store.reopened();
      }
    });

    it("hold the header when it was asked for, as it will be once all before it is durable", async () => {
      await create(store.engine(), "s", { title: "one", metadata: '{"a":1}' });
      const patched = patch(store.engine(), "s", { title: "two" });
      const title = factsOf(store.engine(), "s", { header: true }, (_head, facts) => facts.header().title);
      expect(await title).toBe("two");
      await patched;
      await store.reopened();
      const header = await factsOf(store.engine(), "s", { header: true }, (_head, facts) => facts.header());
      expect(header).toEqual({ creator: { type: "user", id: "ann" }, title: "two", metadata: '{"a":1}' });
    });
  });
}

const NOW_TEXT = "2026-01-02T03:04:05.678Z";
