import { DaybookError, type ErrorCode } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import {
  ALL,
  appendOne,
  archive,
  BY_ID,
  create,
  erase,
  listAll,
  note,
  patch,
  readAll,
  sessionId,
  TENANT,
} from "./commands.js";
import type { OpenStore } from "./open-store.js";

/** What every engine promises of a session: its header, and its end. */
export function describeSessions(store: OpenStore): void {
  describe("a session's header", () => {
    it("comes back as it was given, after restarts too", async () => {
      const metadata = '{ "b":1.0, "a" : {"x":[1,2]} }';
      await create(store.engine(), "s", { title: 'A "title"\n', metadata });
      for (let restart = 0; restart < 2; restart++) {
        expect(await store.engine().session(sessionId("s"))).toMatchObject({
          id: { tenant: TENANT, id: "s" },
          header: { creator: { type: "user", id: "ann" }, title: 'A "title"\n', metadata },
          head: {
            version: 1,
            lastSeq: 0,
            archived: false,
            createdAtMs: store.clock.nowMs,
            updatedAtMs: store.clock.nowMs,
          },
        });
        await store.reopened();
      }
    });

    it("is changed by a patch, which raises version and updated_at and no seq", async () => {
      const createdAtMs = store.clock.nowMs;
      await create(store.engine(), "s", { title: "one", metadata: '{"a":1}' });
      await appendOne(store.engine(), "s", note("p", 1));
      store.clock.nowMs += 5_000;
      await patch(store.engine(), "s", { title: null, metadata: '{"b":2.0}' });
      await expect(patch(store.engine(), "s", { title: "x", expectedVersion: 1 })).rejects.toMatchObject({
        code: "expected_version_conflict",
        details: { current_version: 2 },
      });
      for (let restart = 0; restart < 2; restart++) {
        expect(await store.engine().session(sessionId("s"))).toMatchObject({
          header: { title: null, metadata: '{"a":1,"b":2.0}' },
          head: { version: 2, lastSeq: 1, createdAtMs, updatedAtMs: createdAtMs + 5_000 },
        });
        await store.reopened();
      }
    });

    it("loses no patch of many at once", async () => {
      await create(store.engine(), "s");
      await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          patch(store.engine(), "s", { metadata: `{"m${index}":${index}}` }),
        ),
      );
      const session = await store.engine().session(sessionId("s"));
      expect(Object.keys(JSON.parse(session?.header.metadata ?? "") as object)).toHaveLength(50);
      expect(session?.head.version).toBe(51);
    });

    it("exists once for an id", async () => {
      const tries = await Promise.allSettled([
        create(store.engine(), "s"),
        create(store.engine(), "s"),
        create(store.engine(), "s"),
      ]);
      expect(tries.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
      await expect(create(store.engine(), "s")).rejects.toMatchObject({ code: "session_exists" });
    });
  });

  describe("erasing", () => {
    it("leaves nothing to read, list or append to, and the id is never used again", async () => {
      await create(store.engine(), "s", { title: "x", metadata: '{"k":"v"}' });
      await create(store.engine(), "other");
      await appendOne(store.engine(), "s", note("p", 1));
      await erase(store.engine(), "s");
      for (let restart = 0; restart < 2; restart++) {
        expect(store.engine().head(sessionId("s"))?.status).toBe("deleted");
        expect(await store.engine().session(sessionId("s"))).toBeUndefined();
        await expect((async () => store.engine().read(sessionId("s"), 0, ALL))()).rejects.toMatchObject({
          code: "session_not_found",
        });
        const refused = async (command: Promise<unknown>): Promise<ErrorCode | undefined> =>
          command.then(
            () => undefined,
            (error: unknown) => (error instanceof DaybookError ? error.code : undefined),
          );
        expect(await refused(appendOne(store.engine(), "s", note("p", 1)))).toBe("session_not_found");
        expect(await refused(patch(store.engine(), "s", { title: "y" }))).toBe("session_not_found");
        expect(await refused(archive(store.engine(), "s", true))).toBe("session_not_found");
        expect(await refused(erase(store.engine(), "s"))).toBe("session_not_found");
        expect(await refused(create(store.engine(), "s"))).toBe("session_deleted");
        expect(await listAll(store.engine(), BY_ID)).toEqual(["other"]);
        await store.reopened();
      }
    });

    it("does not disturb appends to other sessions that stand between", async () => {
      await Promise.all([create(store.engine(), "s"), create(store.engine(), "t")]);
      for (let seq = 1; seq <= 40; seq++) {
        await Promise.all([
          appendOne(store.engine(), "s", note("p", seq)),
          appendOne(store.engine(), "t", note("p", seq)),
        ]);
      }
      const before = await readAll(store.engine(), "t");
      await Promise.all([erase(store.engine(), "s"), appendOne(store.engine(), "t", note("p", 41))]);
      for (let restart = 0; restart < 3; restart++) {
        expect((await readAll(store.engine(), "t")).slice(0, 40)).toEqual(before);
        await store.reopened();
      }
    });

    it("happens once when it is asked for twice", async () => {
      await create(store.engine(), "s");
      const twice = await Promise.allSettled([erase(store.engine(), "s"), erase(store.engine(), "s")]);
      expect(twice.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    });
  });
}
