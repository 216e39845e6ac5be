import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventBody, eventually, startServer, type TestServer, type WireRecord } from "@daybook/test-kit";
import { metric } from "./support/metric.js";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe("sessions over REST", () => {
  let server: TestServer;
  beforeAll(async () => (server = await startServer()));
  afterAll(() => server[Symbol.asyncDispose]());

  const path = (id: string): string => `/v1/sessions/${encodeURIComponent(id)}`;

  describe("create", () => {
    test("an empty body makes a session with an id that starts with ses_", async () => {
      const { status, json, headers } = await server.call("POST", "/v1/sessions", {});
      expect(status).toBe(201);
      expect(headers.get("content-type")).toBe("application/json; charset=utf-8");
      expect(json.id).toMatch(/^ses_[\w-]{20}$/);
    });

    test("no body at all is as good as an empty one", async () => {
      expect((await server.call("POST", "/v1/sessions")).status).toBe(201);
    });

    test("a record has every member, and nothing but the title is ever null", async () => {
      const { json } = await server.call("POST", "/v1/sessions", { id: "rest-record" });
      expect(json).toEqual({
        id: "rest-record",
        title: null,
        metadata: {},
        tenant_id: "default",
        creator_principal: { tenant_id: "default", id: "default", type: "service" },
        last_seq: 0,
        archived: false,
        created_at: expect.stringMatching(TIME) as string,
        updated_at: json.created_at,
        version: 1,
      });
    });

    test("title and metadata are kept, and creator_principal is ignored", async () => {
      const { status, json } = await server.call("POST", "/v1/sessions", {
        title: "Draft",
        metadata: { topic: "law" },
        creator_principal: { tenant_id: "other", id: "mallory", type: "user" },
      });
      expect(status).toBe(201);
      expect(json).toMatchObject({ title: "Draft", metadata: { topic: "law" } });
      expect(json.creator_principal).toEqual({ tenant_id: "default", id: "default", type: "service" });
    });

    test("unknown members are ignored", async () => {
      expect((await server.call("POST", "/v1/sessions", { nonsense: [1, { a: null }] })).status).toBe(201);
    });

    test("an id that exists is refused with session_exists, an archived one too", async () => {
      const id = await server.create();
      const again = await server.call("POST", "/v1/sessions", { id });
      expect([again.status, again.json.error]).toEqual([409, "session_exists"]);
      await server.call("POST", `${path(id)}/archive`, {});
      const archived = await server.call("POST", "/v1/sessions", { id });
      expect([archived.status, archived.json.error]).toEqual([409, "session_exists"]);
    });

    test("of many creates of one id at the same time exactly one wins", async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => server.call("POST", "/v1/sessions", { id: "rest-race" })),
      );
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
      expect(answers.filter(({ json }) => json.error === "session_exists")).toHaveLength(19);
    });

    test.each(["ünïcode 日本 🎉", "with space", "semi;colon", "a%2Fb?c#d", "a+b&c=d", "__proto__", "..."])(
      "the id %j is used in every call as it is",
      async (id) => {
        expect((await server.call("POST", "/v1/sessions", { id })).json.id).toBe(id);
        expect((await server.call("GET", path(id))).json.id).toBe(id);
        expect((await server.append(id, eventBody(1))).json.seq).toBe(1);
        expect((await server.events(id)).json.events).toHaveLength(1);
        expect((await server.call("DELETE", path(id))).status).toBe(204);
      },
    );

    test("metadata comes back with its exact text: order, big numbers, unicode, __proto__, spaces, escapes", async () => {
      const metadata = String.raw`{ "z":1, "a" : 9007199254740993,"__proto__":{"x":1.50e+400}, "ü":"\u00e9é\/", "2":0,"1":-0 }`;
      const created = await server.call("POST", "/v1/sessions", `{"metadata":${metadata}}`);
      expect(created.text).toContain(`"metadata":${metadata},`);
      expect((await server.call("GET", path(created.json.id))).text).toContain(`"metadata":${metadata},`);
      const listed = await server.call("GET", "/v1/sessions?metadata.z=1");
      expect(listed.text).toContain(`"metadata":${metadata},`);
    });
  });

  describe("get", () => {
    test("answers the record, also of an archived session", async () => {
      const id = await server.create({ title: "Kept" });
      const archived = await server.call("POST", `${path(id)}/archive`, {});
      const { status, json } = await server.call("GET", path(id));
      expect(status).toBe(200);
      expect(json).toEqual(archived.json);
      expect(json).toMatchObject({ archived: true, title: "Kept" });
    });

    test("last_seq follows the events", async () => {
      const id = await server.create();
      await server.fill(id, { to: 7 });
      expect((await server.call("GET", path(id))).json.last_seq).toBe(7);
    });

    test("an unknown id is 404 session_not_found, in every call", async () => {
      const calls = [
        ["GET", "", undefined],
        ["PATCH", "", { title: "x" }],
        ["DELETE", "", undefined],
        ["POST", "/append", eventBody(1)],
        ["POST", "/append", { events: [eventBody(1)] }],
        ["POST", "/archive", {}],
        ["POST", "/unarchive", {}],
        ["GET", "/events", undefined],
        ["GET", "/events?before=5", undefined],
        ["GET", "/events?cursor=0&wait=30", undefined],
      ] as const;
      for (const [method, rest, body] of calls) {
        const { status, json } = await server.call(method, `/v1/sessions/nobody${rest}`, body);
        expect([method, rest, status, json.error]).toEqual([method, rest, 404, "session_not_found"]);
      }
    });
  });

  describe("patch", () => {
    test("sets the title, null clears it, and each change makes the version one higher", async () => {
      const id = await server.create();
      const titled = await server.call("PATCH", path(id), { title: "First" });
      expect([titled.status, titled.json.title, titled.json.version]).toEqual([200, "First", 2]);
      const cleared = await server.call("PATCH", path(id), { title: null });
      expect([cleared.status, cleared.json.title, cleared.json.version]).toEqual([200, null, 3]);
      expect((await server.call("GET", path(id))).json).toEqual(cleared.json);
    });

    test("metadata is merged member by member of the top level only", async () => {
      const id = await server.create({ metadata: { keep: 1, change: { a: 1, b: 2 } } });
      const { json } = await server.call("PATCH", path(id), { metadata: { change: { c: 3 }, add: null } });
      expect(json.metadata).toEqual({ keep: 1, change: { c: 3 }, add: null });
    });

    test("a title alone leaves the metadata, metadata alone leaves the title", async () => {
      const id = await server.create({ title: "T", metadata: { m: 1 } });
      expect((await server.call("PATCH", path(id), { title: "U" })).json.metadata).toEqual({ m: 1 });
      expect((await server.call("PATCH", path(id), { metadata: { n: 2 } })).json).toMatchObject({
        title: "U",
        metadata: { m: 1, n: 2 },
      });
    });

    test("merged members keep their exact text, __proto__ as plain data", async () => {
      const created = await server.call(
        "POST",
        "/v1/sessions",
        '{"metadata":{"b":1.0,"a":12345678901234567890}}',
      );
      const { text } = await server.call(
        "PATCH",
        path(created.json.id),
        '{"metadata":{"__proto__":{"deep": 1E5},"b":2.50}}',
      );
      expect(text).toContain('"metadata":{"b":2.50,"a":12345678901234567890,"__proto__":{"deep": 1E5}}');
    });

    test.each([{}, { metadata: {} }, { expected_version: 1 }, { metadata: {}, expected_version: 1 }])(
      "%j changes nothing and is refused",
      async (body) => {
        const id = await server.create();
        const { status, json } = await server.call("PATCH", path(id), body);
        expect([status, json.error]).toEqual([400, "invalid_session"]);
        expect((await server.call("GET", path(id))).json.version).toBe(1);
      },
    );

    test("an expected_version that is not the current one is refused and told the current one", async () => {
      const id = await server.create();
      const good = await server.call("PATCH", path(id), { title: "a", expected_version: 1 });
      expect([good.status, good.json.version]).toEqual([200, 2]);
      const stale = await server.call("PATCH", path(id), { title: "b", expected_version: 1 });
      expect([stale.status, stale.json.error, stale.json.current_version]).toEqual([
        409,
        "expected_version_conflict",
        2,
      ]);
      expect((await server.call("GET", path(id))).json.title).toBe("a");
    });

    test("of many patches that expect one version exactly one wins", async () => {
      const id = await server.create();
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          server.call("PATCH", path(id), { title: `t${n}`, expected_version: 1 }),
        ),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    });

    test("it never changes last_seq, and moves updated_at but not created_at", async () => {
      const id = await server.create();
      await server.fill(id, { to: 3 });
      const before = (await server.call("GET", path(id))).json;
      const after = (await server.call("PATCH", path(id), { title: "x" })).json;
      expect(after.last_seq).toBe(3);
      expect(after.created_at).toBe(before.created_at);
      expect(after.updated_at >= before.updated_at).toBe(true);
    });
  });

  describe("archive and unarchive", () => {
    test("set and clear a flag, change no version, and are fine a second time", async () => {
      const id = await server.create();
      for (const [action, archived] of [
        ["archive", true],
        ["archive", true],
        ["unarchive", false],
        ["unarchive", false],
      ] as const) {
        const { status, json } = await server.call("POST", `${path(id)}/${action}`, {});
        expect([status, json.archived, json.version, json.last_seq]).toEqual([200, archived, 1, 0]);
      }
    });

    test("need no body", async () => {
      const id = await server.create();
      expect((await server.call("POST", `${path(id)}/archive`)).status).toBe(200);
    });

    test("nothing is deleted: an archived session takes events and shows them", async () => {
      const id = await server.create();
      await server.append(id, eventBody(1));
      await server.call("POST", `${path(id)}/archive`, {});
      expect((await server.append(id, eventBody(2))).json.seq).toBe(2);
      expect((await server.events(id)).json.events).toHaveLength(2);
    });
  });

  describe("delete", () => {
    test("answers 204 with no body, and then every call says 404", async () => {
      const id = await server.create();
      await server.append(id, eventBody(1));
      const { status, text } = await server.call("DELETE", path(id));
      expect([status, text]).toEqual([204, ""]);
      for (const [method, rest, body] of [
        ["GET", "", undefined],
        ["PATCH", "", { title: "x" }],
        ["POST", "/append", eventBody(2)],
        ["POST", "/archive", undefined],
        ["POST", "/unarchive", undefined],
        ["GET", "/events", undefined],
        ["GET", "/events?before=9", undefined],
        ["DELETE", "", undefined],
      ] as const) {
        const answer = await server.call(method, `${path(id)}${rest}`, body);
        expect([method, rest, answer.status, answer.json.error]).toEqual([
          method,
          rest,
          404,
          "session_not_found",
        ]);
      }
    });

    test("the id is never usable again, also after a restart", async () => {
      await using first = await startServer();
      await first.call("POST", "/v1/sessions", { id: "gone" });
      await first.call("DELETE", "/v1/sessions/gone");
      const again = await first.call("POST", "/v1/sessions", { id: "gone" });
      expect([again.status, again.json.error]).toEqual([409, "session_deleted"]);
      await first.close();
      await using second = await startServer({ dataDir: first.dataDir });
      const later = await second.call("POST", "/v1/sessions", { id: "gone" });
      expect([later.status, later.json.error]).toEqual([409, "session_deleted"]);
      expect((await second.call("GET", "/v1/sessions/gone")).status).toBe(404);
    });

    test("after the next start nothing of what it said is left in the data folder", async () => {
      await using first = await startServer();
      const secret = "a text that nobody may find again";
      await first.call("POST", "/v1/sessions", { id: "told", title: secret, metadata: { secret } });
      await first.fill("told", { to: 50, more: { payload: { secret } } });
      await first.call("DELETE", "/v1/sessions/told");
      await first.close();
      await using second = await startServer({ dataDir: first.dataDir });
      await eventually(
        "it is erased",
        async () => (await metric(second.opsUrl, "daybook_erasures_pending")) === 0,
      );
      await second.close();
      const files = await readdir(first.dataDir, { recursive: true, withFileTypes: true });
      const found = files
        .filter((file) => file.isFile())
        .map((file) => join(file.parentPath, file.name))
        .filter((file) => readFileSync(file).includes(secret));
      expect(files.length).toBeGreaterThan(2);
      expect(found).toEqual([]);
    });

    test("a deleted session is in no list", async () => {
      const id = await server.create({ metadata: { doomed: "yes" } });
      await server.call("DELETE", path(id));
      const { json } = await server.call("GET", "/v1/sessions?archived=all&metadata.doomed=yes");
      expect(json.sessions).toEqual([]);
    });
  });

  test("what was created, patched, archived and appended is the same after a restart", async () => {
    await using first = await startServer();
    const id = await first.create({ title: "Kept", metadata: { a: 1 } });
    await first.fill(id, { to: 5 });
    await first.call("PATCH", path(id), { metadata: { b: 2 } });
    const before = await first.call("POST", `${path(id)}/archive`);
    const events = await first.events(id);
    await first.close();
    await using second = await startServer({ dataDir: first.dataDir });
    expect((await second.call("GET", path(id))).text).toBe(before.text);
    expect((await second.events(id)).text).toBe(events.text);
    const { json } = await second.call("GET", "/v1/sessions?archived=true");
    expect(json.sessions.map((session: WireRecord) => session.id)).toEqual([id]);
  });

  test("the memory store does the same and says so by keeping nothing", async () => {
    await using first = await startServer({ store: "memory" });
    const id = await first.create();
    await first.fill(id, { to: 3 });
    expect((await first.events(id)).json.events).toHaveLength(3);
    await first.close();
    await using second = await startServer({ store: "memory" });
    expect((await second.call("GET", path(id))).status).toBe(404);
  });
});
