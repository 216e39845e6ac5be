import { agentPrefix, encodeAgentKey, readStateChange } from "@daybook/core";
import { RawJson } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import { AGENT_LOG, ALL, append, commit, create, listAll, note, sessionId, TENANT } from "./commands.js";
import type { OpenStore } from "./open-store.js";

/** What every engine promises of the log of agents' state. */
export function describeAgentState(store: OpenStore): void {
  describe("the log of agents' state", () => {
    const idOf = (agent: string, key: string): string => encodeAgentKey({ namespace: "default", agent, key });
    const owner = (agent: string): string => agentPrefix({ namespace: "default", agent });
    const seqsOf = async (agent: string, range = {}, limits = ALL): Promise<number[]> => {
      const whole = { after: 0, through: Number.MAX_SAFE_INTEGER, ...range };
      return (await store.engine().commitsOf(AGENT_LOG, owner(agent), whole, limits)).map(({ seq }) => seq);
    };

    it("is made by its first commit, and is in no list and no lifecycle feed", async () => {
      await expect(seqsOf("a")).rejects.toMatchObject({ code: "session_not_found" });
      expect(await commit(store.engine(), [])).toBe(1);
      await create(store.engine(), "s");
      for (let restart = 0; restart < 2; restart++) {
        const query = { tenant: TENANT, metadata: [], sort: "id", order: "asc", limit: 10 } as const;
        expect(await listAll(store.engine(), { ...query, archived: "all" })).toEqual(["s"]);
        const { items } = await store.engine().lifecycle(TENANT, { limit: 10 });
        expect(items.map(({ session }) => session.id)).toEqual(["s"]);
        await store.reopened();
        expect(await commit(store.engine(), [])).toBe(restart + 2);
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
        const seq = await commit(store.engine(), operations);
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
        await store.reopened();
      }
    });

    it("has the values of keys that different events of one append set, also after a restart", async () => {
      await create(store.engine(), "s");
      const state = (key: string): ReturnType<typeof readStateChange> =>
        readStateChange(new RawJson(`{"set":{"${key}":"of ${key}"}}`, "object"));
      const keys = ["a", "b", "c", "d", "e"];
      const events = keys.map((key, index) => ({ ...note("p", index + 1), state: state(key) }));
      await append(store.engine(), "s", { events, batch: true });
      for (let restart = 0; restart < 2; restart++) {
        const { entries } = await store.engine().state(sessionId("s"), { limit: 10 });
        expect(entries.map(({ key, seq, value }) => [key, seq, value])).toEqual(
          keys.map((key, index) => [key, index + 1, `"of ${key}"`]),
        );
        await store.reopened();
      }
    });

    it("keeps every version of a key that one commit changed several times", async () => {
      const key = idOf("a", "k");
      await commit(store.engine(), [{ key, value: "1" }, { key, value: "2" }, { key }, { key, value: "3" }]);
      for (let restart = 0; restart < 2; restart++) {
        const history = await store.engine().stateHistory(AGENT_LOG, key, { after: 0, limit: 10 });
        expect(history.map(({ version, seq, value }) => [version, seq, value])).toEqual([
          [1, 1, "1"],
          [2, 1, "2"],
          [3, 1, undefined],
          [4, 1, "3"],
        ]);
        expect(await store.engine().stateKey(AGENT_LOG, key, { atSeq: 1 })).toMatchObject({ version: 4 });
        await store.reopened();
      }
    });

    it("lists keys without their values, and ends a page of values once it is large", async () => {
      const value = JSON.stringify("x".repeat(1024 * 1024));
      const keys = Array.from({ length: 20 }, (_, index) => idOf("a", `k${10 + index}`));
      for (const key of keys) await commit(store.engine(), [{ key, value }]);
      const names = await store.engine().state(AGENT_LOG, { prefix: owner("a"), limit: 15, keysOnly: true });
      expect(names.entries.map(({ key, value: text }) => [key, text])).toEqual(
        keys.slice(0, 15).map((key) => [key, undefined]),
      );
      expect(names.next).toBe(keys[14]);
      const read: string[] = [];
      for (let after: string | undefined; ;) {
        const more = after === undefined ? {} : { after };
        const found = await store.engine().state(AGENT_LOG, { prefix: owner("a"), limit: 100, ...more });
        expect(found.entries.length).toBeLessThan(12);
        read.push(...found.entries.map(({ key }) => key));
        for (const entry of found.entries) expect(entry.value).toBe(value);
        if (found.next === undefined) break;
        after = found.next;
      }
      expect(read).toEqual(keys);
    });
  });
}
