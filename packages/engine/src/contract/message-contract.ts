import type { Appended, NewEvent } from "@daybook/core";
import { LIMITS } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import type { MessageQuery } from "../engine.js";
import {
  append,
  appendOne,
  closeSession,
  create,
  erase,
  factsOf,
  fork,
  note,
  sessionId,
} from "./commands.js";
import type { OpenStore } from "./open-store.js";

/** What every engine promises of messages. */
export function describeMessages(store: OpenStore): void {
  describe("the messages of a log", () => {
    const parts = '[{"type":"text","text":"hi"}]';
    const message = (producer: string, seq: number): NewEvent => ({
      ...note(producer, seq, `{"role":"user","parts":${parts}}`),
      type: "message",
    });
    const seqsOf = async (id: string, query: MessageQuery): Promise<readonly number[]> => {
      const found: number[] = [];
      for await (const { seq, bytes } of store.engine().messages(sessionId(id), query)) {
        // What it yields is the event itself.
        expect(bytes.toString("utf8").startsWith(`{"seq":${seq},`)).toBe(true);
        found.push(seq);
      }
      return found;
    };
    const tail = (id: string, limit: number, offset = 0): Promise<readonly number[]> =>
      seqsOf(id, { limit, offset });
    const from = (id: string, fromSeq: number, limit = 1_000_000): Promise<readonly number[]> =>
      seqsOf(id, { fromSeq, limit });

    it("are found from the newest and from a seq on, whatever lies between them, also after a restart", async () => {
      await create(store.engine(), "s");
      const seqs: number[] = [];
      let lastSeq = 0;
      for (let round = 0; round < 60; round++) {
        const kinds = Array.from({ length: 1 + ((round * 7) % 20) }, (_, index) => (round * index) % 3 === 1);
        const events = kinds.map((is, index) => (is ? message : note)("p", lastSeq + index + 1));
        await append(store.engine(), "s", { events, batch: true });
        for (const is of kinds) if (++lastSeq > 0 && is) seqs.push(lastSeq);
      }
      for (let life = 0; life < 2; life++) {
        expect(await from("s", 0)).toEqual(seqs);
        for (const at of [1, 2, 50, 333, lastSeq, lastSeq + 1, Number.MAX_SAFE_INTEGER])
          expect(await from("s", at, 5)).toEqual(seqs.filter((seq) => seq >= at).slice(0, 5));
        for (const offset of [0, 1, 17, seqs.length - 1, seqs.length, 1_000_000]) {
          const end = Math.max(0, seqs.length - offset);
          expect(await tail("s", 7, offset)).toEqual(seqs.slice(Math.max(0, end - 7), end));
        }
        await store.reopened();
      }
    });

    it("are only those that are well-formed", async () => {
      await create(store.engine(), "s");
      await appendOne(store.engine(), "s", { ...note("p", 1, '{"text":"hi"}'), type: "message" });
      await appendOne(store.engine(), "s", { ...message("p", 2), type: "note" });
      await appendOne(store.engine(), "s", message("p", 3));
      expect(await tail("s", 10)).toEqual([3]);
      await store.reopened();
      expect(await tail("s", 10)).toEqual([3]);
    });

    it("are there as soon as they are acknowledged, those of an append as one", async () => {
      await create(store.engine(), "s");
      for (let round = 0; round < 30; round++) {
        const first = round * 3 + 1;
        const appended = append(store.engine(), "s", {
          events: [message("p", first), message("p", first + 1), message("p", first + 2)],
          batch: true,
        });
        const [before] = await Promise.all([from("s", 0), appended]);
        expect(before.length % 3).toBe(0);
        expect(await from("s", 0)).toHaveLength(first + 2);
      }
    });

    it("are none of a log that has none, and there are none of a log that is not there", async () => {
      await create(store.engine(), "s");
      await appendOne(store.engine(), "s", note("p", 1));
      expect([await tail("s", 10), await from("s", 0)]).toEqual([[], []]);
      await expect(tail("other", 1)).rejects.toMatchObject({ code: "session_not_found" });
      await appendOne(store.engine(), "s", message("p", 2));
      await erase(store.engine(), "s");
      await expect(from("s", 0)).rejects.toMatchObject({ code: "session_not_found" });
    });
    it("of a fork begin with its parent's, at any depth, and go on by themselves", async () => {
      const expected = new Map<string, number[]>();
      let parent: string | undefined;
      for (let depth = 0; depth < 6; depth++) {
        const id = `f${depth}`;
        const before: number[] = expected.get(parent ?? "") ?? [];
        const lastSeq = parent === undefined ? 0 : (store.engine().head(sessionId(parent))?.lastSeq ?? 0);
        // Somewhere in the parent's own events; once in the grandparent's; once at the very end.
        const at = depth === 3 ? 15 : depth === 5 ? lastSeq : Math.max(0, lastSeq - 7);
        if (parent === undefined) await create(store.engine(), id);
        else await fork(store.engine(), parent, id, at);
        const kinds = Array.from({ length: 30 }, (_, index) => (index * (depth + 2)) % 5 < 2);
        const events = kinds.map((is, index) => (is ? message : note)(id, index + 1));
        await append(store.engine(), id, { events, batch: true });
        const own = kinds.flatMap((is, index) => (is ? [at + index + 1] : []));
        expected.set(id, [...before.filter((seq) => seq <= at), ...own]);
        parent = id;
      }
      for (let life = 0; life < 2; life++) {
        for (const [id, seqs] of expected) {
          expect(await from(id, 0)).toEqual(seqs);
          for (let at = 0; at < 60; at += 7)
            expect(await from(id, at, 11)).toEqual(seqs.filter((seq) => seq >= at).slice(0, 11));
          for (let offset = 0; offset < seqs.length + 3; offset += 4) {
            const end = Math.max(0, seqs.length - offset);
            expect(await tail(id, 9, offset)).toEqual(seqs.slice(Math.max(0, end - 9), end));
          }
        }
        await store.reopened();
      }
    });

    describe("that come with idempotency keys", () => {
      const keyed = (key: string, text = "hi"): NewEvent => ({
        ...message("p", 1),
        payload: `{"role":"user","parts":[{"type":"text","text":"${text}"}]}`,
        producer: null,
        idempotencyKey: key,
      });
      const send = (event: NewEvent, id = "s", expectedSeq?: number): Promise<Appended> =>
        append(store.engine(), id, {
          events: [event],
          batch: false,
          ...(expectedSeq !== undefined && { expectedSeq }),
        });
      const results = async (event: NewEvent): Promise<Appended["results"][number] | undefined> =>
        (await send(event)).results[0];

      it("are recognised 1,024 back and no further, also after a restart", async () => {
        await create(store.engine(), "s");
        const total = LIMITS.idempotencyKeysMax + 30;
        for (let first = 1; first <= total; first += 50) {
          const count = Math.min(50, total - first + 1);
          await Promise.all(Array.from({ length: count }, (_, index) => send(keyed(`key ${first + index}`))));
        }
        for (let life = 0; life < 3; life++) {
          for (const n of [31, 32, 500, total])
            expect(await results(keyed(`key ${n}`))).toEqual({ seq: n, deduped: true });
          await store.reopened();
        }
        // Forgotten: what comes with it is a new message, and pushes out the oldest.
        expect(await results(keyed("key 30"))).toEqual({ seq: total + 1, deduped: false });
        expect(await results(keyed("key 31"))).toEqual({ seq: total + 2, deduped: false });
        expect(await results(keyed("key 33"))).toEqual({ seq: 33, deduped: true });
      });

      it("are one however often they are sent at once, whatever is expected by then", async () => {
        await create(store.engine(), "s");
        const answers = await Promise.all(Array.from({ length: 20 }, () => send(keyed("once"), "s", 0)));
        expect(answers.map(({ results: [result] }) => result?.seq)).toEqual(Array(20).fill(1));
        expect(await from("s", 0)).toEqual([1]);
        await closeSession(store.engine(), "s");
        expect(await results(keyed("once"))).toEqual({ seq: 1, deduped: true });
        await expect(send(keyed("twice"))).rejects.toMatchObject({ code: "session_closed" });
      });

      it("refuse other content under the same key, also after a restart", async () => {
        await create(store.engine(), "s");
        await send(keyed("k"));
        for (let life = 0; life < 2; life++) {
          for (const other of [keyed("k", "ho"), { ...keyed("k"), actor: "agent:b" }])
            await expect(send(other)).rejects.toMatchObject({ code: "idempotency_key_reused" });
          await store.reopened();
        }
        expect(await from("s", 0)).toEqual([1]);
      });

      it("have them each for itself: another log, a fork and a producer's event know nothing of them", async () => {
        await create(store.engine(), "s");
        await create(store.engine(), "other");
        await send(keyed("k"));
        await fork(store.engine(), "s", "f", 1);
        expect((await send(keyed("k"), "other")).results).toEqual([{ seq: 1, deduped: false }]);
        expect((await send(keyed("k"), "f")).results).toEqual([{ seq: 2, deduped: false }]);
        const produced = { ...keyed("k"), producer: { id: "p", seq: 1 } };
        expect(await results(produced)).toEqual({ seq: 2, deduped: false });
        // It did not take the key, either.
        expect(await results(keyed("k"))).toEqual({ seq: 1, deduped: true });
      });

      it("keep no producer", async () => {
        await create(store.engine(), "s");
        await send(keyed("k"));
        await send({ ...message("p", 1), producer: null });
        for (let life = 0; life < 2; life++) {
          await factsOf(store.engine(), "s", {}, (_head, facts) => {
            expect(facts.producer("daybook")).toBeUndefined();
          });
          await store.reopened();
        }
      });
    });
  });
}
