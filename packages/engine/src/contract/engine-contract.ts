import {
  agentPrefix,
  decideCreate,
  encodeAgentKey,
  encodeEvent,
  type KeyVersion,
  LogId,
  readStateChange,
  seqOfPair,
} from "@daybook/core";
import { DaybookError, type ErrorCode, LIMITS, RawJson } from "@daybook/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Engine, ListQuery, ReadLimits } from "../engine.js";
import {
  AGENT_LOG,
  ALL,
  append,
  appendOne,
  archive,
  closeSession,
  commit,
  create,
  erase,
  factsOf,
  fork,
  listAll,
  note,
  patch,
  readAll,
  sessionId,
  TENANT,
} from "./commands.js";
import { describeForks } from "./fork-contract.js";
import { describeMessages } from "./message-contract.js";
import { History } from "./history.js";

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
    let nowMs: number;

    beforeEach(async () => {
      nowMs = 1_700_000_000_000;
      store = await makeStore();
      engine = await store.open({ clock: () => nowMs });
    });

    afterEach(async () => {
      await engine.close();
      await store.remove();
    });

    /** Undefined when the engine keeps nothing over a restart. */
    const reopened = async (): Promise<Engine | undefined> => {
      if (!engine.features.durable) return undefined;
      await engine.close();
      engine = await store.open({ clock: () => nowMs });
      return engine;
    };

    describe("appending", () => {
      it("gives contiguous seqs from 1 to whatever arrives at once, in the order it was asked", async () => {
        await create(engine, "s");
        const seqs = await Promise.all(
          Array.from({ length: 300 }, (_, index) =>
            appendOne(engine, "s", note(`p${index % 7}`, 1 + Math.floor(index / 7))),
          ),
        );
        expect(seqs).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
        expect(engine.head(sessionId("s"))?.lastSeq).toBe(300);
      });

      it("counts every session for itself", async () => {
        await Promise.all(["a", "b", "c"].map((id) => create(engine, id)));
        const rounds = await Promise.all(
          [1, 2, 3].map((seq) =>
            Promise.all(["a", "b", "c"].map((id) => appendOne(engine, id, note("p", seq)))),
          ),
        );
        expect(rounds).toEqual([1, 2, 3].map((seq) => [seq, seq, seq]));
      });

      it("has the event readable when it is acknowledged, with its exact text", async () => {
        await create(engine, "s");
        const payload = '{ "b":1.0, "a" : 9007199254740993, "__proto__":{}, "u":"\\u00e9é😀" }';
        const event = note("p", 1, payload);
        await appendOne(engine, "s", event);
        const { events } = await engine.read(sessionId("s"), 0, ALL);
        const text = encodeEvent(event, 1, new Date(nowMs).toISOString());
        expect(events.map(({ bytes }) => bytes.toString("utf8"))).toEqual([text]);
        expect(await readAll((await reopened()) ?? engine, "s")).toEqual([text]);
      });

      it("stores a batch of the largest size whole, and none of a refused one", async () => {
        await create(engine, "s");
        const events = Array.from({ length: LIMITS.batchEventsMax }, (_, index) => note("p", index + 1));
        const { results } = await append(engine, "s", { events, batch: true });
        expect(results.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
        const broken = [note("p", 1_001), note("p", 1_002), note("p", 1_009)];
        await expect(append(engine, "s", { events: broken, batch: true })).rejects.toMatchObject({
          code: "producer_seq_conflict",
          details: { index: 2 },
        });
        expect(await readAll(engine, "s")).toHaveLength(1_000);
      });

      it("stores the largest event beside small ones", async () => {
        await create(engine, "s");
        const large = `{"text":"${"é".repeat(LIMITS.eventBytesMax / 2)}"}`;
        const payloads = ["{}", large, '{"n":1}'];
        await Promise.all(
          payloads.map((payload, index) => appendOne(engine, "s", note("p", index + 1, payload))),
        );
        const check = async (): Promise<void> => {
          const events = await readAll(engine, "s");
          expect(events.map((event) => event.length)).toEqual(
            payloads.map((payload, index) => encodeEvent(note("p", index + 1, payload), 1, NOW_TEXT).length),
          );
        };
        await check();
        if (await reopened()) await check();
      });

      it("decides each command on what those before it did, although nothing is durable yet", async () => {
        await create(engine, "s");
        const tries = [1, 2, 3].map((seq) =>
          append(engine, "s", { events: [note(`p${seq}`, 1)], batch: false, expectedSeq: 0 }),
        );
        const outcomes = await Promise.allSettled(tries);
        expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
        expect(await readAll(engine, "s")).toHaveLength(1);
      });

      it("tells decide that there is no log, and stores nothing when decide refuses or throws", async () => {
        await expect(appendOne(engine, "s", note("p", 1))).rejects.toMatchObject({
          code: "session_not_found",
        });
        const thrown = engine.transact(sessionId("s"), {}, () => {
          throw new Error("a defect");
        });
        await expect(thrown).rejects.toThrow("a defect");
        expect(engine.head(sessionId("s"))).toBeUndefined();
        await create(engine, "s");
        expect(engine.head(sessionId("s"))).toMatchObject({ position: 1, lastSeq: 0 });
      });

      it("refuses a closed session", async () => {
        await create(engine, "s");
        await appendOne(engine, "s", note("p", 1));
        await closeSession(engine, "s");
        expect(engine.head(sessionId("s"))).toMatchObject({ status: "closed", lastSeq: 1 });
        await expect(appendOne(engine, "s", note("p", 2))).rejects.toMatchObject({ code: "session_closed" });
        expect(await appendOne(engine, "s", note("p", 1))).toBe(1);
      });
    });

    describe("a retry", () => {
      it("answers the first seq, later, at once and after a restart", async () => {
        await create(engine, "s");
        const command = { events: [note("p", 5), note("p", 6)], batch: true };
        const both = await Promise.all([append(engine, "s", command), append(engine, "s", command)]);
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
        await appendOne(engine, "s", note("q", 1));
        for (let restart = 0; restart < 3; restart++) {
          const { results, lastSeq } = await append(engine, "s", command);
          expect(results.map(({ seq, deduped }) => [seq, deduped])).toEqual([
            [1, true],
            [2, true],
          ]);
          expect(lastSeq).toBe(3);
          await reopened();
        }
      });

      it("with other content is a conflict, in flight and after a restart", async () => {
        await create(engine, "s");
        const first = appendOne(engine, "s", note("p", 1, '{"a":1}'));
        await expect(appendOne(engine, "s", note("p", 1, '{"a":2}'))).rejects.toMatchObject({
          code: "producer_replay_conflict",
        });
        expect(await first).toBe(1);
        await reopened();
        await expect(appendOne(engine, "s", note("p", 1, '{"a":2}'))).rejects.toMatchObject({
          code: "producer_replay_conflict",
        });
      });

      it("is recognised 1,024 pairs back and refused beyond, also after a restart", async () => {
        await create(engine, "s");
        for (let first = 1; first <= 1_501; first += 500) {
          const events = Array.from({ length: 500 }, (_, index) => note("p", first + index));
          await append(engine, "s", { events, batch: true });
        }
        const oldest = 2_000 - LIMITS.producerPairsMax + 1;
        for (let restart = 0; restart < 2; restart++) {
          expect(await appendOne(engine, "s", note("p", oldest))).toBe(oldest);
          await expect(appendOne(engine, "s", note("p", oldest - 1))).rejects.toMatchObject({
            code: "producer_seq_conflict",
          });
          await reopened();
        }
      });
    });

    describe("the facts given to decide", () => {
      it("are producer windows and key versions, the same after a restart", async () => {
        await create(engine, "s");
        const change = (text: string): ReturnType<typeof readStateChange> =>
          readStateChange(new RawJson(text, "object"));
        await appendOne(engine, "s", { ...note("p", 7), state: change('{"set":{"k":1,"l":2}}') });
        await appendOne(engine, "s", { ...note("p", 8), state: change('{"delete":["k"],"set":{"l":3}}') });
        for (let restart = 0; restart < 2; restart++) {
          const facts = await factsOf(engine, "s", { keys: ["k", "l", "m"] }, (_head, given) => ({
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
          await reopened();
        }
      });

      it("hold the header when it was asked for, as it will be once all before it is durable", async () => {
        await create(engine, "s", { title: "one", metadata: '{"a":1}' });
        const patched = patch(engine, "s", { title: "two" });
        const title = factsOf(engine, "s", { header: true }, (_head, facts) => facts.header().title);
        expect(await title).toBe("two");
        await patched;
        await reopened();
        const header = await factsOf(engine, "s", { header: true }, (_head, facts) => facts.header());
        expect(header).toEqual({ creator: { type: "user", id: "ann" }, title: "two", metadata: '{"a":1}' });
      });
    });

    describe("reading", () => {
      const fill = async (count: number): Promise<string[]> => {
        await create(engine, "s");
        for (let first = 1; first <= count; first += 100) {
          const events = Array.from({ length: Math.min(100, count - first + 1) }, (_, index) =>
            note(
              "p",
              first + index,
              `{"n":${first + index},"fill":"${"x".repeat((first * 37 + index) % 300)}"}`,
            ),
          );
          await append(engine, "s", { events, batch: true });
        }
        return readAll(engine, "s");
      };

      it("gives the same pages whatever the limits, contiguous, from any cursor", async () => {
        const all = await fill(1_000);
        expect(all).toHaveLength(1_000);
        await reopened();
        const limits: ReadLimits[] = [
          { eventsMax: 1_000, bytesMax: 1 },
          { eventsMax: 7, bytesMax: 1_000_000 },
          { eventsMax: 100, bytesMax: 5_000 },
          ALL,
        ];
        for (const limit of limits) {
          for (const cursor of [0, 1, 99, 100, 101, 500, 998, 999]) {
            const { events, lastSeq } = await engine.read(sessionId("s"), cursor, limit);
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
        const { events } = await engine.read(sessionId("s"), 0, { eventsMax: 50, bytesMax: 2_000 });
        const bytes = events.reduce((sum, event) => sum + event.bytes.length, 0);
        expect(bytes).toBeLessThanOrEqual(2_000);
        const one = await engine.read(sessionId("s"), 0, { eventsMax: 50, bytesMax: 1 });
        expect(one.events).toHaveLength(1);
      });

      it("gives an empty page at the end, and beyond it", async () => {
        await fill(3);
        expect(await engine.read(sessionId("s"), 3, ALL)).toEqual({ events: [], lastSeq: 3 });
        expect(await engine.read(sessionId("s"), 30, ALL)).toEqual({ events: [], lastSeq: 3 });
      });

      it("knows no session that never was", async () => {
        await expect((async () => engine.read(sessionId("s"), 0, ALL))()).rejects.toMatchObject({
          code: "session_not_found",
        });
        expect(engine.head(sessionId("s"))).toBeUndefined();
        expect(await engine.session(sessionId("s"))).toBeUndefined();
      });
    });

    describe("watching", () => {
      it("hints at every move of the head: events, header changes, deletion", async () => {
        await create(engine, "s");
        let hints = 0;
        engine.watch(sessionId("s"), () => hints++);
        const moves = [
          (): Promise<unknown> => appendOne(engine, "s", note("p", 1)),
          (): Promise<unknown> => patch(engine, "s", { title: "x" }),
          (): Promise<unknown> => archive(engine, "s", true),
          (): Promise<unknown> => erase(engine, "s"),
        ];
        for (const move of moves) {
          const before = hints;
          await move();
          await expect.poll(() => hints, { interval: 1 }).toBeGreaterThan(before);
        }
      });

      it("comes when what it hints at can be read", async () => {
        await create(engine, "s");
        const seen: number[] = [];
        engine.watch(sessionId("s"), () => seen.push(engine.head(sessionId("s"))?.lastSeq ?? 0));
        await appendOne(engine, "s", note("p", 1));
        // The first hint may still be that of the create.
        await expect.poll(() => seen.at(-1), { interval: 1 }).toBe(1);
      });

      it("ends when it is told to, and others go on", async () => {
        await create(engine, "s");
        let ended = 0;
        let others = 0;
        const end = engine.watch(sessionId("s"), () => ended++);
        engine.watch(sessionId("s"), () => others++);
        end();
        end();
        await appendOne(engine, "s", note("p", 1));
        await expect.poll(() => others, { interval: 1 }).toBeGreaterThan(0);
        expect(ended).toBe(0);
      });

      it("of a log that is not there hints at its creation, and goes on from there", async () => {
        const seen: number[] = [];
        let ended = 0;
        engine.watch(sessionId("later"), () => seen.push(engine.head(sessionId("later"))?.lastSeq ?? -1));
        engine.watch(sessionId("later"), () => ended++)();
        engine.watch(sessionId("never"), () => expect.fail("there is nothing"));
        await expect(appendOne(engine, "later", note("p", 1))).rejects.toMatchObject({
          code: "session_not_found",
        });
        await create(engine, "later");
        await expect.poll(() => seen, { interval: 1 }).toEqual([0]);
        await appendOne(engine, "later", note("p", 1));
        await expect.poll(() => seen.at(-1), { interval: 1 }).toBe(1);
        expect(ended).toBe(0);
      });
    });

    describe("a session's header", () => {
      it("comes back as it was given, after restarts too", async () => {
        const metadata = '{ "b":1.0, "a" : {"x":[1,2]} }';
        await create(engine, "s", { title: 'A "title"\n', metadata });
        for (let restart = 0; restart < 2; restart++) {
          expect(await engine.session(sessionId("s"))).toMatchObject({
            id: { tenant: TENANT, id: "s" },
            header: { creator: { type: "user", id: "ann" }, title: 'A "title"\n', metadata },
            head: { version: 1, lastSeq: 0, archived: false, createdAtMs: nowMs, updatedAtMs: nowMs },
          });
          await reopened();
        }
      });

      it("is changed by a patch, which raises version and updated_at and no seq", async () => {
        const createdAtMs = nowMs;
        await create(engine, "s", { title: "one", metadata: '{"a":1}' });
        await appendOne(engine, "s", note("p", 1));
        nowMs += 5_000;
        await patch(engine, "s", { title: null, metadata: '{"b":2.0}' });
        await expect(patch(engine, "s", { title: "x", expectedVersion: 1 })).rejects.toMatchObject({
          code: "expected_version_conflict",
          details: { current_version: 2 },
        });
        for (let restart = 0; restart < 2; restart++) {
          expect(await engine.session(sessionId("s"))).toMatchObject({
            header: { title: null, metadata: '{"a":1,"b":2.0}' },
            head: { version: 2, lastSeq: 1, createdAtMs, updatedAtMs: createdAtMs + 5_000 },
          });
          await reopened();
        }
      });

      it("loses no patch of many at once", async () => {
        await create(engine, "s");
        await Promise.all(
          Array.from({ length: 50 }, (_, index) =>
            patch(engine, "s", { metadata: `{"m${index}":${index}}` }),
          ),
        );
        const session = await engine.session(sessionId("s"));
        expect(Object.keys(JSON.parse(session?.header.metadata ?? "") as object)).toHaveLength(50);
        expect(session?.head.version).toBe(51);
      });

      it("exists once for an id", async () => {
        const tries = await Promise.allSettled([
          create(engine, "s"),
          create(engine, "s"),
          create(engine, "s"),
        ]);
        expect(tries.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
        await expect(create(engine, "s")).rejects.toMatchObject({ code: "session_exists" });
      });
    });

    describe("the log of agents' state", () => {
      const idOf = (agent: string, key: string): string =>
        encodeAgentKey({ namespace: "default", agent, key });
      const owner = (agent: string): string => agentPrefix({ namespace: "default", agent });
      const seqsOf = async (agent: string, range = {}, limits = ALL): Promise<number[]> => {
        const whole = { after: 0, through: Number.MAX_SAFE_INTEGER, ...range };
        return (await engine.commitsOf(AGENT_LOG, owner(agent), whole, limits)).map(({ seq }) => seq);
      };

      it("is made by its first commit, and is in no list and no lifecycle feed", async () => {
        await expect(seqsOf("a")).rejects.toMatchObject({ code: "session_not_found" });
        expect(await commit(engine, [])).toBe(1);
        await create(engine, "s");
        for (let restart = 0; restart < 2; restart++) {
          const query = { tenant: TENANT, metadata: [], sort: "id", order: "asc", limit: 10 } as const;
          expect(await listAll(engine, { ...query, archived: "all" })).toEqual(["s"]);
          const { items } = await engine.lifecycle(TENANT, { limit: 10 });
          expect(items.map(({ session }) => session.id)).toEqual(["s"]);
          await reopened();
          expect(await commit(engine, [])).toBe(restart + 2);
        }
      });

      it("knows which commits changed keys of an agent", async () => {
        const seqs: Record<string, number[]> = { a: [], b: [] };
        for (let index = 0; index < 60; index++) {
          const agents = [["a"], ["b"], ["a", "b"], []][index % 4] ?? [];
          const operations = agents.flatMap((agent) => [
            { key: idOf(agent, "k"), value: `${index}` },
            { key: idOf(agent, `k${index}`), value: "{}" },
          ]);
          const seq = await commit(engine, operations);
          for (const agent of agents) seqs[agent]?.push(seq);
        }
        for (let restart = 0; restart < 2; restart++) {
          for (const agent of ["a", "b", "c"]) {
            const expected = seqs[agent] ?? [];
            expect(await seqsOf(agent)).toEqual(expected);
            expect(await seqsOf(agent, { after: 20, through: 40 })).toEqual(
              expected.filter((seq) => seq > 20 && seq <= 40),
            );
            expect(await seqsOf(agent, {}, { ...ALL, eventsMax: 3 })).toEqual(expected.slice(0, 3));
            expect(await seqsOf(agent, {}, { ...ALL, bytesMax: 1 })).toEqual(expected.slice(0, 1));
          }
          await reopened();
        }
      });

      it("has the values of keys that different events of one append set, also after a restart", async () => {
        await create(engine, "s");
        const state = (key: string): ReturnType<typeof readStateChange> =>
          readStateChange(new RawJson(`{"set":{"${key}":"of ${key}"}}`, "object"));
        const keys = ["a", "b", "c", "d", "e"];
        const events = keys.map((key, index) => ({ ...note("p", index + 1), state: state(key) }));
        await append(engine, "s", { events, batch: true });
        for (let restart = 0; restart < 2; restart++) {
          const { entries } = await engine.state(sessionId("s"), { limit: 10 });
          expect(entries.map(({ key, seq, value }) => [key, seq, value])).toEqual(
            keys.map((key, index) => [key, index + 1, `"of ${key}"`]),
          );
          await reopened();
        }
      });

      it("keeps every version of a key that one commit changed several times", async () => {
        const key = idOf("a", "k");
        await commit(engine, [{ key, value: "1" }, { key, value: "2" }, { key }, { key, value: "3" }]);
        for (let restart = 0; restart < 2; restart++) {
          const history = await engine.stateHistory(AGENT_LOG, key, { after: 0, limit: 10 });
          expect(history.map(({ version, seq, value }) => [version, seq, value])).toEqual([
            [1, 1, "1"],
            [2, 1, "2"],
            [3, 1, undefined],
            [4, 1, "3"],
          ]);
          expect(await engine.stateKey(AGENT_LOG, key, { atSeq: 1 })).toMatchObject({ version: 4 });
          await reopened();
        }
      });

      it("lists keys without their values, and ends a page of values once it is large", async () => {
        const value = JSON.stringify("x".repeat(1024 * 1024));
        const keys = Array.from({ length: 20 }, (_, index) => idOf("a", `k${10 + index}`));
        for (const key of keys) await commit(engine, [{ key, value }]);
        const names = await engine.state(AGENT_LOG, { prefix: owner("a"), limit: 15, keysOnly: true });
        expect(names.entries.map(({ key, value: text }) => [key, text])).toEqual(
          keys.slice(0, 15).map((key) => [key, undefined]),
        );
        expect(names.next).toBe(keys[14]);
        const read: string[] = [];
        for (let after: string | undefined; ;) {
          const more = after === undefined ? {} : { after };
          const found = await engine.state(AGENT_LOG, { prefix: owner("a"), limit: 100, ...more });
          expect(found.entries.length).toBeLessThan(12);
          read.push(...found.entries.map(({ key }) => key));
          for (const entry of found.entries) expect(entry.value).toBe(value);
          if (found.next === undefined) break;
          after = found.next;
        }
        expect(read).toEqual(keys);
      });
    });

    describe("the list", () => {
      const query = (more: Partial<ListQuery> = {}): ListQuery => ({
        tenant: TENANT,
        archived: "no",
        metadata: [],
        sort: "id",
        order: "asc",
        limit: 100,
        ...more,
      });

      it("has a session as soon as it is acknowledged, and its newest header", async () => {
        for (let index = 0; index < 20; index++) {
          await create(engine, `s${index}`, { title: "old" });
          expect(await listAll(engine, query())).toContain(`s${index}`);
        }
        await patch(engine, "s3", { title: "new" });
        const { sessions } = await engine.list(query());
        expect(sessions.find(({ id }) => id.id === "s3")?.header.title).toBe("new");
      });

      it("is sorted by id, creation or update, both ways, with the same pages whatever their size", async () => {
        const ids = ["b", "a", "é", "Z", "😀", "10", "9", "ses_1"];
        for (const id of ids) {
          nowMs += 10;
          await create(engine, id);
        }
        nowMs += 10;
        await patch(engine, "a", { title: "x" });
        const byBytes = ids.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
        const byUpdate = [...ids.filter((id) => id !== "a"), "a"];
        for (let restart = 0; restart < 2; restart++) {
          for (const limit of [1, 3, 8, 100]) {
            for (const [sort, expected] of [
              ["id", byBytes],
              ["created", ids],
              ["updated", byUpdate],
            ] as const) {
              expect(await listAll(engine, query({ sort, limit }))).toEqual(expected);
              expect(await listAll(engine, query({ sort, limit, order: "desc" }))).toEqual(
                expected.toReversed(),
              );
            }
          }
          await reopened();
        }
      });

      it("breaks ties of time by id, and pages through them", async () => {
        const ids = ["c", "a", "e", "b", "d"];
        await Promise.all(ids.map((id) => create(engine, id)));
        expect(await listAll(engine, query({ sort: "created", limit: 2 }))).toEqual(ids.toSorted());
        expect(await listAll(engine, query({ sort: "updated", order: "desc", limit: 2 }))).toEqual(
          ids.toSorted().reverse(),
        );
      });

      it("shows archived sessions when they are asked for", async () => {
        await Promise.all(["a", "b", "c", "d"].map((id) => create(engine, id)));
        await Promise.all([archive(engine, "b", true), archive(engine, "c", true)]);
        await archive(engine, "c", false);
        for (let restart = 0; restart < 2; restart++) {
          expect(await listAll(engine, query())).toEqual(["a", "c", "d"]);
          expect(await listAll(engine, query({ archived: "yes" }))).toEqual(["b"]);
          expect(await listAll(engine, query({ archived: "all", limit: 1 }))).toEqual(["a", "b", "c", "d"]);
          await reopened();
        }
      });

      it("is filtered by top-level metadata as text, all of it at once", async () => {
        await create(engine, "a", {
          metadata: '{"n":1,"s":"1","t":true,"z":null,"f":1.0,"o":{"x":1},"l":[1]}',
        });
        await create(engine, "b", { metadata: '{"n":2,"s":"x\\u0000y","a.b":"dot","":"empty"}' });
        await create(engine, "c", {
          metadata: `{"n":"1","long":"${"é".repeat(129)}","fits":"${"é".repeat(128)}"}`,
        });
        const found = (...metadata: [string, string][]): Promise<string[]> =>
          listAll(engine, query({ metadata, limit: 1 }));
        expect(await found(["n", "1"])).toEqual(["a", "c"]);
        expect(await found(["n", "1"], ["t", "true"])).toEqual(["a"]);
        expect(await found(["n", "1"], ["t", "false"])).toEqual([]);
        expect(await found(["z", "null"])).toEqual(["a"]);
        expect(await found(["f", "1.0"])).toEqual(["a"]);
        expect(await found(["f", "1"])).toEqual([]);
        expect(await found(["o", '{"x":1}'])).toEqual([]);
        expect(await found(["s", "x\0y"])).toEqual(["b"]);
        expect(await found(["a.b", "dot"])).toEqual(["b"]);
        expect(await found(["", "empty"])).toEqual(["b"]);
        expect(await found(["fits", "é".repeat(128)])).toEqual(["c"]);
        expect(await found(["long", "é".repeat(129)])).toEqual([]);
        expect(
          await listAll(engine, query({ metadata: [["n", "1"]], sort: "created", order: "desc" })),
        ).toEqual(["c", "a"]);
      });

      it("follows metadata and archiving as they change", async () => {
        await create(engine, "a", { metadata: '{"k":"1","other":"x"}' });
        const found = (value: string, archived: ListQuery["archived"] = "no"): Promise<string[]> =>
          listAll(engine, query({ metadata: [["k", value]], archived }));
        await patch(engine, "a", { metadata: '{"k":"2"}' });
        expect([await found("1"), await found("2")]).toEqual([[], ["a"]]);
        await archive(engine, "a", true);
        expect([await found("2"), await found("2", "yes"), await found("2", "all")]).toEqual([
          [],
          ["a"],
          ["a"],
        ]);
        await patch(engine, "a", { metadata: '{"k":"3"}' });
        expect([await found("2", "all"), await found("3", "yes")]).toEqual([[], ["a"]]);
        await erase(engine, "a");
        expect([await found("3", "all"), await listAll(engine, query({ archived: "all" }))]).toEqual([
          [],
          [],
        ]);
      });

      it("takes the longest tenants and ids there are", async () => {
        const [tenant, id] = ["語".repeat(LIMITS.idCharactersMax), "者".repeat(LIMITS.idCharactersMax)];
        const header = { creator: { type: "user", id: "ann" }, title: null, metadata: '{"k":"v"}' };
        const session = new LogId(tenant, id);
        await engine.transact(session, {}, (head) => decideCreate(head, { session, header }));
        for (let restart = 0; restart < 2; restart++) {
          expect(await listAll(engine, query({ tenant }))).toEqual([id]);
          expect(await listAll(engine, query({ tenant, metadata: [["k", "v"]], sort: "created" }))).toEqual([
            id,
          ]);
          await reopened();
        }
      });

      it("takes the longest producers and metadata there are", async () => {
        const id = "語".repeat(LIMITS.idCharactersMax);
        const name = "名".repeat(85);
        const value = "\u0001".repeat(LIMITS.indexedMetadataBytesMax);
        await create(engine, id, { metadata: JSON.stringify({ [name]: value }) });
        await appendOne(engine, id, note("者".repeat(LIMITS.idCharactersMax), 1));
        for (let restart = 0; restart < 2; restart++) {
          expect(await listAll(engine, query())).toEqual([id]);
          expect(await listAll(engine, query({ metadata: [[name, value]] }))).toEqual([id]);
          expect(await appendOne(engine, id, note("者".repeat(LIMITS.idCharactersMax), 1))).toBe(1);
          await reopened();
        }
      });

      it("goes on behind its cursor whatever is created or deleted meanwhile", async () => {
        for (const id of ["b", "d", "f", "h"]) await create(engine, id);
        const first = await engine.list(query({ limit: 2 }));
        expect(first.sessions.map(({ id }) => id.id)).toEqual(["b", "d"]);
        await Promise.all([create(engine, "a"), create(engine, "e"), erase(engine, "d"), erase(engine, "f")]);
        expect(first.next).toBeDefined();
        const rest = await listAll(engine, query({ limit: 2, after: first.next! }));
        expect(rest).toEqual(["e", "h"]);
      });

      it("ends without a cursor", async () => {
        expect(await engine.list(query())).toEqual({ sessions: [] });
        await create(engine, "a");
        await create(engine, "b");
        expect((await engine.list(query({ limit: 2 }))).next).toBeUndefined();
        expect((await engine.list(query({ limit: 1 }))).next).toBeDefined();
      });

      it("shows a tenant its own sessions only", async () => {
        for (const tenant of ["a", "ab", "b"]) {
          const session = new LogId(tenant, "same");
          const header = { creator: { type: "user", id: "ann" }, title: tenant, metadata: '{"k":"v"}' };
          await engine.transact(session, {}, (head) => decideCreate(head, { session, header }));
        }
        for (const tenant of ["a", "ab", "b"]) {
          for (const metadata of [[], [["k", "v"]]] as ListQuery["metadata"][]) {
            const { sessions } = await engine.list(query({ tenant, metadata, archived: "all" }));
            expect(sessions.map(({ header }) => header.title)).toEqual([tenant]);
          }
        }
        expect(await listAll(engine, query({ tenant: "c" }))).toEqual([]);
      });
    });

    describe("erasing", () => {
      it("leaves nothing to read, list or append to, and the id is never used again", async () => {
        await create(engine, "s", { title: "x", metadata: '{"k":"v"}' });
        await create(engine, "other");
        await appendOne(engine, "s", note("p", 1));
        await erase(engine, "s");
        for (let restart = 0; restart < 2; restart++) {
          expect(engine.head(sessionId("s"))?.status).toBe("deleted");
          expect(await engine.session(sessionId("s"))).toBeUndefined();
          await expect((async () => engine.read(sessionId("s"), 0, ALL))()).rejects.toMatchObject({
            code: "session_not_found",
          });
          const refused = async (command: Promise<unknown>): Promise<ErrorCode | undefined> =>
            command.then(
              () => undefined,
              (error: unknown) => (error instanceof DaybookError ? error.code : undefined),
            );
          expect(await refused(appendOne(engine, "s", note("p", 1)))).toBe("session_not_found");
          expect(await refused(patch(engine, "s", { title: "y" }))).toBe("session_not_found");
          expect(await refused(archive(engine, "s", true))).toBe("session_not_found");
          expect(await refused(erase(engine, "s"))).toBe("session_not_found");
          expect(await refused(create(engine, "s"))).toBe("session_deleted");
          const list = {
            tenant: TENANT,
            archived: "all",
            metadata: [],
            sort: "id",
            order: "asc",
            limit: 9,
          } as const;
          expect(await listAll(engine, list)).toEqual(["other"]);
          await reopened();
        }
      });

      it("does not disturb appends to other sessions that stand between", async () => {
        await Promise.all([create(engine, "s"), create(engine, "t")]);
        for (let seq = 1; seq <= 40; seq++) {
          await Promise.all([appendOne(engine, "s", note("p", seq)), appendOne(engine, "t", note("p", seq))]);
        }
        const before = await readAll(engine, "t");
        await Promise.all([erase(engine, "s"), appendOne(engine, "t", note("p", 41))]);
        for (let restart = 0; restart < 3; restart++) {
          expect((await readAll(engine, "t")).slice(0, 40)).toEqual(before);
          await reopened();
        }
      });

      it("happens once when it is asked for twice", async () => {
        await create(engine, "s");
        const twice = await Promise.allSettled([erase(engine, "s"), erase(engine, "s")]);
        expect(twice.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
      });
    });

    describeForks({ engine: () => engine, reopened });
    describeMessages({ engine: () => engine, reopened });

    describe("time", () => {
      it("never goes back in inserted_at, although the clock does, and not over a restart either", async () => {
        await create(engine, "s");
        const startedAt = nowMs;
        const clock = [startedAt + 100, startedAt - 5_000, startedAt + 50, startedAt + 200];
        for (const [index, atMs] of clock.entries()) {
          nowMs = atMs;
          await appendOne(engine, "s", note("p", index + 1));
        }
        nowMs = startedAt - 60_000;
        await reopened();
        await appendOne(engine, "s", note("p", 5));
        await patch(engine, "s", { title: "x" });
        const times = (await readAll(engine, "s")).map((event) =>
          Date.parse((JSON.parse(event) as { inserted_at: string }).inserted_at),
        );
        expect(times.map((atMs) => atMs - startedAt)).toEqual([100, 100, 100, 200, 200]);
        expect(engine.head(sessionId("s"))?.updatedAtMs).toBe(startedAt + 200);
      });
    });

    describe("closing", () => {
      it("refuses whatever comes later with shutting_down", async () => {
        await create(engine, "s");
        await appendOne(engine, "s", note("p", 1));
        await engine.close();
        const list = {
          tenant: TENANT,
          archived: "all",
          metadata: [],
          sort: "id",
          order: "asc",
          limit: 9,
        } as const;
        const later: (() => unknown)[] = [
          () => appendOne(engine, "s", note("p", 2)),
          () => engine.read(sessionId("s"), 0, ALL),
          () => engine.session(sessionId("s")),
          () => engine.list(list),
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

const NOW_TEXT = "2026-01-02T03:04:05.678Z";
