import { decideImport, needsOfImport, type NewEvent, readStateChange, seqOfPair } from "@daybook/core";
import { LIMITS, RawJson } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import type { Engine, LifecycleItem, ListQuery, StateEntry } from "../engine.js";
import {
  append,
  appendOne,
  archive,
  BY_ID,
  closeSession,
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
import type { OpenStore } from "./open-store.js";

/** What every engine promises of forks. */
export function describeForks(store: OpenStore): void {
  describe("a fork", () => {
    /** Does it now, and again after each of two restarts, where there are any. */
    const everAfter = async (check: (engine: Engine) => Promise<void> | void): Promise<void> => {
      await check(store.engine());
      for (let restart = 0; restart < 2; restart++) {
        const again = await store.reopened();
        if (again !== undefined) await check(again);
      }
    };

    it("has its parent's events up to a seq, byte for byte, and goes on from there by itself", async () => {
      const engine = store.engine();
      await create(engine, "p", { title: "parent" });
      await append(engine, "p", { events: notes("a", 1, 10), batch: true });
      await fork(engine, "p", "f", 7);
      await appendOne(engine, "p", note("a", 11));
      expect(await appendOne(engine, "f", note("b", 1))).toBe(8);
      await append(engine, "f", { events: notes("b", 2, 3), batch: true });
      await everAfter(async (now) => {
        const [parent, child] = [await readAll(now, "p"), await readAll(now, "f")];
        expect(parent).toHaveLength(11);
        expect(child).toHaveLength(11);
        expect(child.slice(0, 7)).toEqual(parent.slice(0, 7));
        expect(child.slice(7).map(producerOf)).toEqual([
          ["b", 1],
          ["b", 2],
          ["b", 3],
          ["b", 4],
        ]);
        expect(now.head(sessionId("f"))).toMatchObject({
          lastSeq: 11,
          forkedFrom: { id: "p", seq: 7, depth: 1 },
        });
        expect(now.head(sessionId("p"))).toMatchObject({ lastSeq: 11, forks: 1, forkedFrom: undefined });
      });
    });

    it("reads on over the seam, from any cursor, whatever the limits", async () => {
      const engine = store.engine();
      await create(engine, "p");
      await append(engine, "p", { events: notes("a", 1, 40), batch: true });
      await fork(engine, "p", "f", 25);
      await append(engine, "f", { events: notes("b", 1, 30), batch: true });
      await fork(engine, "f", "g", 40);
      await fork(engine, "g", "h", 10);
      for (const id of ["g", "h"]) await append(engine, id, { events: notes("c", 1, 20), batch: true });
      await everAfter(async (now) => {
        for (const id of ["f", "g", "h"]) {
          const all = await readAll(now, id);
          for (const cursor of [0, 1, 9, 10, 11, 24, 25, 26, 39, all.length - 1]) {
            for (const eventsMax of [1, 7, 1_000]) {
              for (const bytesMax of [1, 1_500, 1_000_000]) {
                const page = await now.read(sessionId(id), cursor, { eventsMax, bytesMax });
                const texts = page.events.map(({ bytes }) => bytes.toString("utf8"));
                expect(texts).toEqual(all.slice(cursor, cursor + texts.length));
                // A seam ends no page: only the limits do.
                const left = Math.max(0, all.length - cursor);
                if (bytesMax === 1_000_000) expect(texts).toHaveLength(Math.min(eventsMax, left));
                else expect(texts.length > 0).toBe(left > 0);
              }
            }
          }
        }
      });
    });

    it("inherits no title, metadata, flag or producer, and leaves its parent's record alone", async () => {
      const engine = store.engine();
      await create(engine, "p", { title: "parent", metadata: '{"k":"v"}' });
      await appendOne(engine, "p", note("a", 5));
      await archive(engine, "p", true);
      await closeSession(engine, "p");
      const before = engine.head(sessionId("p"));
      await fork(engine, "p", "f");
      // The same pair once more is no retry here.
      await appendOne(engine, "f", note("a", 5));
      await everAfter(async (now) => {
        const session = await now.session(sessionId("f"));
        expect(session?.header).toMatchObject({ title: null, metadata: "{}" });
        expect(session?.head).toMatchObject({ status: "open", archived: false, version: 1, lastSeq: 2 });
        expect(now.head(sessionId("p"))).toEqual({
          ...before,
          position: (before?.position ?? 0) + 1,
          forks: 1,
        });
        const seqs = await factsOf(now, "f", {}, (_head, facts) => {
          const window = facts.producer("a");
          return window === undefined ? [] : [4, 5, 6].map((producerSeq) => seqOfPair(window, producerSeq));
        });
        expect(seqs).toEqual([undefined, 2, undefined]);
      });
    });

    it("shares the state as of its seq, and versions go on from there", async () => {
      const engine = store.engine();
      await create(engine, "p");
      await appendOne(engine, "p", setting("a", 1, '{"set":{"k":1,"l":"x","gone":0}}'));
      await appendOne(engine, "p", setting("a", 2, '{"set":{"k":2},"delete":["gone"]}'));
      await appendOne(engine, "p", setting("a", 3, '{"set":{"k":3,"later":true}}'));
      await fork(engine, "p", "f", 2);
      await fork(engine, "f", "g", 1);
      await appendOne(engine, "p", setting("a", 4, '{"set":{"k":4}}'));
      await appendOne(engine, "f", setting("b", 1, '{"set":{"k":"own","gone":1},"if":{"k":2,"later":0}}'));
      await appendOne(engine, "g", setting("b", 1, '{"delete":["l"],"if":{"k":1,"gone":1}}'));
      const conflict = appendOne(engine, "f", setting("b", 2, '{"if":{"k":4}}'));
      await expect(conflict).rejects.toMatchObject({
        code: "state_conflict",
        details: { key: "k", current_version: 3 },
      });
      await everAfter(async (now) => {
        expect(await stateOf(now, "f")).toEqual({ gone: [3, 3, "1"], k: [3, 3, '"own"'], l: [1, 1, '"x"'] });
        expect(await stateOf(now, "f", 2)).toEqual({ k: [2, 2, "2"], l: [1, 1, '"x"'] });
        expect(await stateOf(now, "f", 2)).toEqual(await stateOf(now, "p", 2));
        expect(await stateOf(now, "f", 1)).toEqual(await stateOf(now, "p", 1));
        expect(await stateOf(now, "g")).toEqual({ gone: [1, 1, "0"], k: [1, 1, "1"] });
        expect(await stateOf(now, "p")).toEqual({ k: [4, 4, "4"], l: [1, 1, '"x"'], later: [1, 3, "true"] });
        const history = await now.stateHistory(sessionId("f"), "k", { after: 0, limit: 10 });
        expect(history.map(({ version, seq, value }) => [version, seq, value])).toEqual([
          [1, 1, "1"],
          [2, 2, "2"],
          [3, 3, '"own"'],
        ]);
        const version = (number: number): Promise<StateEntry | undefined> =>
          now.stateKey(sessionId("f"), "k", { version: number });
        expect(await version(2)).toMatchObject({ value: "2" });
        expect(await version(4)).toBeUndefined();
        expect(await now.stateKey(sessionId("g"), "later", {})).toBeUndefined();
      });
    });

    it("at 0 shares nothing, and one at the end all", async () => {
      const engine = store.engine();
      await create(engine, "p");
      await append(engine, "p", { events: notes("a", 1, 3), batch: true });
      await fork(engine, "p", "none", 0);
      await fork(engine, "p", "all");
      expect(await appendOne(engine, "none", note("b", 1))).toBe(1);
      await everAfter(async (now) => {
        expect(await readAll(now, "none")).toHaveLength(1);
        expect(await readAll(now, "all")).toEqual(await readAll(now, "p"));
      });
    });

    it("can be made of what is not durable yet, at once, and of a fork in turn", async () => {
      const engine = store.engine();
      await Promise.all([
        create(engine, "p"),
        appendOne(engine, "p", setting("a", 1, '{"set":{"k":1}}')),
        fork(engine, "p", "f"),
        appendOne(engine, "f", setting("b", 1, '{"set":{"k":2},"if":{"k":1}}')),
        fork(engine, "f", "g"),
        appendOne(engine, "g", setting("b", 1, '{"set":{"k":3},"if":{"k":2}}')),
        appendOne(engine, "p", note("a", 2)),
      ]);
      await everAfter(async (now) => {
        expect((await readAll(now, "g")).map(producerOf)).toEqual([
          ["a", 1],
          ["b", 1],
          ["b", 1],
        ]);
        expect(await stateOf(now, "g")).toEqual({ k: [3, 3, "3"] });
      });
    });

    it("takes an import that begins with what it shares, also when that is not durable yet", async () => {
      const engine = store.engine();
      await create(engine, "p");
      await appendOne(engine, "p", note("a", 1));
      const [first = ""] = await readAll(engine, "p");
      const insertedAt = (JSON.parse(first) as { inserted_at: string }).inserted_at;
      const events = [1, 2, 3].map((seq) => ({ seq, insertedAt, event: note("a", seq) }));
      const imported = (): Promise<{ lastSeq: number }> =>
        engine.transact(sessionId("f"), needsOfImport(events), (head, facts) =>
          decideImport(head, facts, events),
        );
      const all = [appendOne(engine, "p", note("a", 2)), fork(engine, "p", "f"), imported()];
      expect(await Promise.all(all)).toEqual([2, undefined, { lastSeq: 3 }]);
      expect(await imported()).toEqual({ lastSeq: 3 });
      await everAfter(async (now) => {
        expect((await readAll(now, "f")).map(producerOf)).toEqual(events.map(({ event }) => pairOf(event)));
      });
    });

    it("is refused behind the end, of what is not there, under an id that is taken, and too deep", async () => {
      const engine = store.engine();
      await create(engine, "p");
      await appendOne(engine, "p", note("a", 1));
      await create(engine, "gone");
      await erase(engine, "gone");
      await expect(fork(engine, "p", "f", 2)).rejects.toMatchObject({
        code: "invalid_cursor",
        details: { last_seq: 1 },
      });
      await expect(fork(engine, "nobody", "f")).rejects.toMatchObject({ code: "session_not_found" });
      await expect(fork(engine, "gone", "f")).rejects.toMatchObject({ code: "session_not_found" });
      await expect(fork(engine, "p", "p")).rejects.toMatchObject({ code: "session_exists" });
      await expect(fork(engine, "p", "gone")).rejects.toMatchObject({ code: "session_deleted" });
      expect(engine.head(sessionId("f"))).toBeUndefined();
      expect(engine.head(sessionId("p"))?.forks).toBe(0);
      await fork(engine, "p", "f1");
      for (let depth = 2; depth <= LIMITS.forkDepthMax; depth++)
        await fork(engine, `f${depth - 1}`, `f${depth}`);
      const deepest = `f${LIMITS.forkDepthMax}`;
      await expect(fork(engine, deepest, "deeper")).rejects.toMatchObject({ code: "fork_too_deep" });
      await everAfter(async (now) => {
        expect(await readAll(now, deepest)).toEqual(await readAll(now, "p"));
      });
    });

    it("keeps its parent from being deleted, and lets go of it with its own deletion", async () => {
      const engine = store.engine();
      await create(engine, "p");
      await append(engine, "p", { events: notes("a", 1, 20), batch: true });
      await fork(engine, "p", "f", 10);
      await fork(engine, "p", "g", 15);
      await append(engine, "f", { events: notes("b", 1, 5), batch: true });
      const refusal = { code: "session_has_forks", details: { forks: 2 } };
      await expect(erase(engine, "p")).rejects.toMatchObject(refusal);
      await erase(engine, "f");
      await expect(erase(engine, "p")).rejects.toMatchObject({ details: { forks: 1 } });
      await everAfter(async (now) => {
        expect(now.head(sessionId("f"))?.status).toBe("deleted");
        expect(now.head(sessionId("p"))?.forks).toBe(1);
        // Nothing of the parent was erased with its fork.
        expect((await readAll(now, "p")).map(producerOf)).toEqual(notes("a", 1, 20).map(pairOf));
        expect(await readAll(now, "g")).toHaveLength(15);
      });
      await erase(store.engine(), "g");
      await erase(store.engine(), "p");
      await everAfter((now) => {
        for (const id of ["p", "f", "g"]) expect(now.head(sessionId(id))?.status).toBe("deleted");
      });
    });

    it("and the deletion of its parent are in one order: never is there a fork of nothing", async () => {
      for (let round = 0; round < 20; round++) {
        const engine = store.engine();
        const [parent, child] = [`p${round}`, `f${round}`];
        await create(engine, parent);
        await appendOne(engine, parent, note("a", 1));
        const both = [() => fork(engine, parent, child), () => erase(engine, parent)];
        if (round % 2 === 1) both.reverse();
        const [one, other] = await Promise.allSettled(both.map((command) => command()));
        expect([one?.status, other?.status].toSorted()).toEqual(["fulfilled", "rejected"]);
        const [head, forked] = [engine.head(sessionId(parent)), engine.head(sessionId(child))];
        if (head?.status === "deleted") expect(forked).toBeUndefined();
        else expect(await readAll(engine, child)).toHaveLength(1);
      }
    });

    it("is found by its parent in lists, together with all other filters", async () => {
      const engine = store.engine();
      await create(engine, "p");
      await create(engine, "q", { metadata: '{"forkedFrom":"p","k":"v"}' });
      for (const id of ["c", "a", "b", "d"]) await fork(engine, "p", id);
      await fork(engine, "q", "of q");
      await fork(engine, "a", "of a");
      await archive(engine, "b", true);
      await patch(engine, "c", { metadata: '{"k":"v"}' });
      await erase(engine, "d");
      await everAfter(async (now) => {
        const found = (more: Partial<ListQuery> = {}): Promise<string[]> =>
          listAll(now, { ...LIST, forkedFrom: "p", ...more });
        expect(await found()).toEqual(["a", "c"]);
        expect(await found({ archived: "all", limit: 1 })).toEqual(["a", "b", "c"]);
        expect(await found({ archived: "yes" })).toEqual(["b"]);
        expect(await found({ sort: "created", order: "desc" })).toEqual(["c", "a"]);
        expect(await found({ metadata: [["k", "v"]] })).toEqual(["c"]);
        expect(await found({ forkedFrom: "a" })).toEqual(["of a"]);
        expect(await found({ forkedFrom: "nobody" })).toEqual([]);
        expect(await listAll(now, { ...LIST, metadata: [["forkedFrom", "p"]] })).toEqual(["q"]);
      });
    });

    it("stands in the lifecycle feed: with its parent as forked, by itself as created", async () => {
      const engine = store.engine();
      await create(engine, "p", { title: "parent" });
      await appendOne(engine, "p", note("a", 1));
      await fork(engine, "p", "f");
      await erase(engine, "f");
      await everAfter(async (now) => {
        const { items } = await now.lifecycle(TENANT, { limit: 10 });
        expect(items.map(({ kind, session }) => [kind, session.id])).toEqual([
          ["created", "p"],
          ["forked", "p"],
          ["created", "f"],
          ["deleted", "f"],
        ]);
        expect(items[1]).toMatchObject({ fork: { id: "f", seq: 1 } } satisfies Partial<LifecycleItem>);
      });
      await fork(store.engine(), "p", "g");
      await everAfter(async (now) => {
        const { items } = await now.lifecycle(TENANT, { limit: 10 });
        expect(items.at(-1)).toMatchObject({ kind: "created", forkedFrom: { id: "p", seq: 1 } });
      });
    });
  });
}

const LIST: ListQuery = { ...BY_ID, archived: "no" };

const notes = (producer: string, first: number, count: number): NewEvent[] =>
  Array.from({ length: count }, (_, index) => note(producer, first + index));

const setting = (producer: string, seq: number, state: string): NewEvent => ({
  ...note(producer, seq),
  state: readStateChange(new RawJson(state, "object")),
});

const pairOf = ({ producer }: NewEvent): [string, number] => [producer?.id ?? "", producer?.seq ?? 0];

function producerOf(json: string): [string, number] {
  const { producer_id: id, producer_seq: seq } = JSON.parse(json) as {
    producer_id: string;
    producer_seq: number;
  };
  return [id, seq];
}

/** Key by key: version, seq and the text of its value. */
async function stateOf(
  engine: Engine,
  id: string,
  atSeq?: number,
): Promise<Record<string, [number, number, string | undefined]>> {
  const state: Record<string, [number, number, string | undefined]> = {};
  for (let after: string | undefined; ;) {
    const query = { limit: 2, ...(atSeq !== undefined && { atSeq }), ...(after !== undefined && { after }) };
    const { entries, next } = await engine.state(sessionId(id), query);
    for (const { key, version, seq, value } of entries) state[key] = [version, seq, value];
    if (next === undefined) return state;
    after = next;
  }
}
