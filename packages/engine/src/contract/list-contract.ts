import { decideCreate, LogId } from "@daybook/core";
import { LIMITS } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import type { ListQuery } from "../engine.js";
import { appendOne, archive, BY_ID, create, erase, listAll, note, patch } from "./commands.js";
import type { OpenStore } from "./open-store.js";

/** What every engine promises of the list of sessions. */
export function describeList(store: OpenStore): void {
  describe("the list", () => {
    const query = (more: Partial<ListQuery> = {}): ListQuery => ({ ...BY_ID, archived: "no", ...more });

    it("has a session as soon as it is acknowledged, and its newest header", async () => {
      for (let index = 0; index < 20; index++) {
        await create(store.engine(), `s${index}`, { title: "old" });
        expect(await listAll(store.engine(), query())).toContain(`s${index}`);
      }
      await patch(store.engine(), "s3", { title: "new" });
      const { sessions } = await store.engine().list(query());
      expect(sessions.find(({ id }) => id.id === "s3")?.header.title).toBe("new");
    });

    it("is sorted by id, creation or update, both ways, with the same pages whatever their size", async () => {
      const ids = ["b", "a", "é", "Z", "😀", "10", "9", "ses_1"];
      for (const id of ids) {
        store.clock.nowMs += 10;
        await create(store.engine(), id);
      }
      store.clock.nowMs += 10;
      await patch(store.engine(), "a", { title: "x" });
      const byBytes = ids.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
      const byUpdate = [...ids.filter((id) => id !== "a"), "a"];
      for (let restart = 0; restart < 2; restart++) {
        for (const limit of [1, 3, 8, 100]) {
          for (const [sort, expected] of [
            ["id", byBytes],
            ["created", ids],
            ["updated", byUpdate],
          ] as const) {
            expect(await listAll(store.engine(), query({ sort, limit }))).toEqual(expected);
            expect(await listAll(store.engine(), query({ sort, limit, order: "desc" }))).toEqual(
              expected.toReversed(),
            );
          }
        }
        await store.reopened();
      }
    });

    it("breaks ties of time by id, and pages through them", async () => {
      const ids = ["c", "a", "e", "b", "d"];
      await Promise.all(ids.map((id) => create(store.engine(), id)));
      expect(await listAll(store.engine(), query({ sort: "created", limit: 2 }))).toEqual(ids.toSorted());
      expect(await listAll(store.engine(), query({ sort: "updated", order: "desc", limit: 2 }))).toEqual(
        ids.toSorted().reverse(),
      );
    });

    it("shows archived sessions when they are asked for", async () => {
      await Promise.all(["a", "b", "c", "d"].map((id) => create(store.engine(), id)));
      await Promise.all([archive(store.engine(), "b", true), archive(store.engine(), "c", true)]);
      await archive(store.engine(), "c", false);
      for (let restart = 0; restart < 2; restart++) {
        expect(await listAll(store.engine(), query())).toEqual(["a", "c", "d"]);
        expect(await listAll(store.engine(), query({ archived: "yes" }))).toEqual(["b"]);
        expect(await listAll(store.engine(), query({ archived: "all", limit: 1 }))).toEqual([
          "a",
          "b",
          "c",
          "d",
        ]);
        await store.reopened();
      }
    });

    it("is filtered by top-level metadata as text, all of it at once", async () => {
      await create(store.engine(), "a", {
        metadata: '{"n":1,"s":"1","t":true,"z":null,"f":1.0,"o":{"x":1},"l":[1]}',
      });
      await create(store.engine(), "b", { metadata: '{"n":2,"s":"x\\u0000y","a.b":"dot","":"empty"}' });
      await create(store.engine(), "c", {
        metadata: `{"n":"1","long":"${"é".repeat(129)}","fits":"${"é".repeat(128)}"}`,
      });
      const found = (...metadata: [string, string][]): Promise<string[]> =>
        listAll(store.engine(), query({ metadata, limit: 1 }));
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
        await listAll(store.engine(), query({ metadata: [["n", "1"]], sort: "created", order: "desc" })),
      ).toEqual(["c", "a"]);
    });

    it("follows metadata and archiving as they change", async () => {
      await create(store.engine(), "a", { metadata: '{"k":"1","other":"x"}' });
      const found = (value: string, archived: ListQuery["archived"] = "no"): Promise<string[]> =>
        listAll(store.engine(), query({ metadata: [["k", value]], archived }));
      await patch(store.engine(), "a", { metadata: '{"k":"2"}' });
      expect([await found("1"), await found("2")]).toEqual([[], ["a"]]);
      await archive(store.engine(), "a", true);
      expect([await found("2"), await found("2", "yes"), await found("2", "all")]).toEqual([
        [],
        ["a"],
        ["a"],
      ]);
      await patch(store.engine(), "a", { metadata: '{"k":"3"}' });
      expect([await found("2", "all"), await found("3", "yes")]).toEqual([[], ["a"]]);
      await erase(store.engine(), "a");
      expect([await found("3", "all"), await listAll(store.engine(), query({ archived: "all" }))]).toEqual([
        [],
        [],
      ]);
    });

    it("takes the longest tenants and ids there are", async () => {
      const [tenant, id] = ["語".repeat(LIMITS.idCharactersMax), "者".repeat(LIMITS.idCharactersMax)];
      const header = { creator: { type: "user", id: "ann" }, title: null, metadata: '{"k":"v"}' };
      const session = new LogId(tenant, id);
      await store.engine().transact(session, {}, (head) => decideCreate(head, { session, header }));
      for (let restart = 0; restart < 2; restart++) {
        expect(await listAll(store.engine(), query({ tenant }))).toEqual([id]);
        expect(
          await listAll(store.engine(), query({ tenant, metadata: [["k", "v"]], sort: "created" })),
        ).toEqual([id]);
        await store.reopened();
      }
    });

    it("takes the longest producers and metadata there are", async () => {
      const id = "語".repeat(LIMITS.idCharactersMax);
      const name = "名".repeat(85);
      const value = "\u0001".repeat(LIMITS.indexedMetadataBytesMax);
      await create(store.engine(), id, { metadata: JSON.stringify({ [name]: value }) });
      await appendOne(store.engine(), id, note("者".repeat(LIMITS.idCharactersMax), 1));
      for (let restart = 0; restart < 2; restart++) {
        expect(await listAll(store.engine(), query())).toEqual([id]);
        expect(await listAll(store.engine(), query({ metadata: [[name, value]] }))).toEqual([id]);
        expect(await appendOne(store.engine(), id, note("者".repeat(LIMITS.idCharactersMax), 1))).toBe(1);
        await store.reopened();
      }
    });

    it("goes on behind its cursor whatever is created or deleted meanwhile", async () => {
      for (const id of ["b", "d", "f", "h"]) await create(store.engine(), id);
      const first = await store.engine().list(query({ limit: 2 }));
      expect(first.sessions.map(({ id }) => id.id)).toEqual(["b", "d"]);
      await Promise.all([
        create(store.engine(), "a"),
        create(store.engine(), "e"),
        erase(store.engine(), "d"),
        erase(store.engine(), "f"),
      ]);
      expect(first.next).toBeDefined();
      const rest = await listAll(store.engine(), query({ limit: 2, after: first.next! }));
      expect(rest).toEqual(["e", "h"]);
    });

    it("ends without a cursor", async () => {
      expect(await store.engine().list(query())).toEqual({ sessions: [] });
      await create(store.engine(), "a");
      await create(store.engine(), "b");
      expect((await store.engine().list(query({ limit: 2 }))).next).toBeUndefined();
      expect((await store.engine().list(query({ limit: 1 }))).next).toBeDefined();
    });

    it("shows a tenant its own sessions only", async () => {
      for (const tenant of ["a", "ab", "b"]) {
        const session = new LogId(tenant, "same");
        const header = { creator: { type: "user", id: "ann" }, title: tenant, metadata: '{"k":"v"}' };
        await store.engine().transact(session, {}, (head) => decideCreate(head, { session, header }));
      }
      for (const tenant of ["a", "ab", "b"]) {
        for (const metadata of [[], [["k", "v"]]] as ListQuery["metadata"][]) {
          const { sessions } = await store.engine().list(query({ tenant, metadata, archived: "all" }));
          expect(sessions.map(({ header }) => header.title)).toEqual([tenant]);
        }
      }
      expect(await listAll(store.engine(), query({ tenant: "c" }))).toEqual([]);
    });
  });
}
