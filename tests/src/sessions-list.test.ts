import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, startServer, type TestServer, type WireRecord } from "@daybook/test-kit";

describe("the list of sessions", () => {
  let server: TestServer;
  beforeAll(async () => (server = await startServer({ store: "memory" })));
  afterAll(() => server[Symbol.asyncDispose]());

  const list = async (
    query = "",
  ): Promise<{ ids: string[]; next: string | null; sessions: readonly WireRecord[] }> => {
    const { status, json, text } = await server.call("GET", `/v1/sessions${query}`);
    if (status !== 200) throw new Error(text);
    return {
      ids: json.sessions.map(({ id }) => id),
      next: json.next_cursor as string | null,
      sessions: json.sessions,
    };
  };

  /** All pages of a list. */
  const walk = async (query: string): Promise<string[]> => {
    const all: string[] = [];
    for (let cursor = ""; ;) {
      const { ids, next } = await list(`?${query}${cursor}`);
      all.push(...ids);
      if (next === null) return all;
      cursor = `&cursor=${encodeURIComponent(next)}`;
    }
  };

  test("an empty one is an empty list and a null cursor", async () => {
    await using empty = await startServer({ store: "memory" });
    const { status, text } = await empty.call("GET", "/v1/sessions");
    expect([status, text]).toEqual([200, '{"sessions":[],"next_cursor":null}']);
  });

  test("holds the very records that get answers, with what was just created, at once", async () => {
    const id = await server.create({ title: "Fresh", metadata: { kind: "fresh" } });
    const { sessions } = await list("?metadata.kind=fresh");
    expect(sessions).toEqual([(await server.call("GET", `/v1/sessions/${id}`)).json]);
  });

  test("is ordered by the bytes of the id, in pages without a gap or a repeat", async () => {
    const ids = ["b", "a", "Z", "é", "aa", "a b", "日", "🎉", "﹏", "a-"].map((id) => `order-${id}`);
    await Promise.all(ids.map((id) => server.create({ id, metadata: { set: "order" } })));
    const sorted = [...ids].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    for (const limit of [1, 3, 10, 1000]) {
      expect(await walk(`metadata.set=order&limit=${limit}`)).toEqual(sorted);
      expect(await walk(`metadata.set=order&limit=${limit}&order=desc`)).toEqual([...sorted].reverse());
      expect(await walk(`metadata.set=order&limit=${limit}&sort=created`)).toHaveLength(10);
    }
  });

  test("the last page has a null cursor, also when it is exactly full", async () => {
    await Promise.all([1, 2, 3, 4].map((n) => server.create({ id: `full-${n}`, metadata: { set: "full" } })));
    const first = await list("?metadata.set=full&limit=2");
    expect(first.ids).toEqual(["full-1", "full-2"]);
    const second = await list(`?metadata.set=full&limit=2&cursor=${String(first.next)}`);
    expect(second).toMatchObject({ ids: ["full-3", "full-4"], next: null });
  });

  test("the default page has 100 sessions, the largest 1,000", async () => {
    await using own = await startServer({ store: "memory" });
    await Promise.all(Array.from({ length: 1_001 }, () => own.create()));
    const counts = async (query: string): Promise<number> =>
      (await own.call("GET", `/v1/sessions${query}`)).json.sessions.length;
    expect(await counts("")).toBe(100);
    expect(await counts("?limit=1000")).toBe(1_000);
    expect(await counts("?limit=1")).toBe(1);
  });

  test("a cursor stays right while others create before and after it", async () => {
    const create = (id: string): Promise<string> => server.create({ id, metadata: { set: "stable" } });
    const there = Array.from({ length: 40 }, (_, n) => `stable-${String(n).padStart(3, "0")}`);
    await Promise.all(there.map(create));
    const creating = (async () => {
      for (let n = 0; n < 40; n++) await create(`stable-${String(n).padStart(3, "0")}x`);
    })();
    const seen = await walk("metadata.set=stable&limit=3");
    await creating;
    expect(seen).toEqual([...new Set(seen)].sort());
    expect(seen.filter((id) => !id.endsWith("x"))).toEqual(there);
  });

  test("archived sessions are left out by default, alone with true, and with the others with all", async () => {
    for (const id of ["arch-1", "arch-2", "arch-3", "arch-4"])
      await server.create({ id, metadata: { set: "arch" } });
    await server.call("POST", "/v1/sessions/arch-2/archive");
    await server.call("POST", "/v1/sessions/arch-3/archive");
    await server.call("POST", "/v1/sessions/arch-3/unarchive");
    expect((await list("?metadata.set=arch")).ids).toEqual(["arch-1", "arch-3", "arch-4"]);
    expect((await list("?metadata.set=arch&archived=false")).ids).toEqual(["arch-1", "arch-3", "arch-4"]);
    expect((await list("?metadata.set=arch&archived=true")).ids).toEqual(["arch-2"]);
    for (const limit of [1, 2, 100]) {
      const all = await walk(`metadata.set=arch&archived=all&limit=${limit}`);
      expect(all).toEqual(["arch-1", "arch-2", "arch-3", "arch-4"]);
      expect(await walk(`metadata.set=arch&archived=all&limit=${limit}&order=desc`)).toEqual(all.reverse());
    }
  });

  test("metadata filters take both spellings, and a dotted name is one top-level key", async () => {
    await server.create({ id: "dot-1", metadata: { "a.b": "x", set: "dot" } });
    await server.create({ id: "dot-2", metadata: { a: { b: "x" }, set: "dot" } });
    await server.create({ id: "dot-3", metadata: { "a[b]": "x", set: "dot" } });
    expect((await list("?metadata.a.b=x")).ids).toEqual(["dot-1"]);
    expect((await list("?metadata[a.b]=x")).ids).toEqual(["dot-1"]);
    expect((await list("?metadata%5Ba.b%5D=x")).ids).toEqual(["dot-1"]);
    expect((await list("?metadata.a=x")).ids).toEqual([]);
    expect((await list("?metadata[a[b]]=x")).ids).toEqual(["dot-3"]);
    expect((await list("?metadata[set]=dot")).ids).toEqual(["dot-1", "dot-2", "dot-3"]);
  });

  test("several filters must all match; the same key with two values matches nothing", async () => {
    await server.create({ id: "and-1", metadata: { p: "1", q: "1" } });
    await server.create({ id: "and-2", metadata: { p: "1", q: "2" } });
    expect((await list("?metadata.p=1&metadata.q=2")).ids).toEqual(["and-2"]);
    expect((await list("?metadata.p=1&metadata[q]=1")).ids).toEqual(["and-1"]);
    expect((await list("?metadata.q=1&metadata.q=2")).ids).toEqual([]);
  });

  test("values are compared as exact text: numbers, booleans and null as they are written", async () => {
    await server.call("POST", "/v1/sessions", '{"id":"text-1","metadata":{"v":1.0,"set":"text"}}');
    await server.call("POST", "/v1/sessions", '{"id":"text-2","metadata":{"v":"1","set":"text"}}');
    await server.call("POST", "/v1/sessions", '{"id":"text-3","metadata":{"v":true,"set":"text"}}');
    await server.call("POST", "/v1/sessions", '{"id":"text-4","metadata":{"v":null,"set":"text"}}');
    await server.call(
      "POST",
      "/v1/sessions",
      String.raw`{"id":"text-5","metadata":{"v":"\u00e9 +&=","set":"text"}}`,
    );
    const found = async (value: string): Promise<string[]> =>
      (await list(`?metadata.set=text&metadata.v=${encodeURIComponent(value)}`)).ids;
    expect(await found("1.0")).toEqual(["text-1"]);
    expect(await found("1")).toEqual(["text-2"]);
    expect(await found("true")).toEqual(["text-3"]);
    expect(await found("null")).toEqual(["text-4"]);
    expect(await found("é +&=")).toEqual(["text-5"]);
    expect(await found("T")).toEqual([]);
    expect(await found("")).toEqual([]);
  });

  test("objects, lists and values over 256 bytes are kept but not found by", async () => {
    const just = "v".repeat(256);
    await server.create({ id: "size-1", metadata: { big: just } });
    await server.create({ id: "size-2", metadata: { big: `${just}v` } });
    await server.create({ id: "size-3", metadata: { big: ["v"] } });
    expect((await list(`?metadata.big=${just}`)).ids).toEqual(["size-1"]);
    expect((await list(`?metadata.big=${just}v`)).ids).toEqual([]);
    expect((await list(`?metadata.big=${encodeURIComponent('["v"]')}`)).ids).toEqual([]);
  });

  test("names and values with NUL, quotes, __proto__ and emoji are found by", async () => {
    const metadata = { "n\0ul": 'q"\\', __proto__x: "p", "🎉": "\u0001" };
    await server.create({ id: "odd-1", metadata });
    await server.call("POST", "/v1/sessions", '{"id":"odd-2","metadata":{"__proto__":"p"}}');
    for (const [name, value] of Object.entries(metadata)) {
      const query = `?metadata.${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
      expect((await list(query)).ids).toEqual(["odd-1"]);
    }
    expect((await list("?metadata.__proto__=p")).ids).toEqual(["odd-2"]);
  });

  test("a patch moves a session from one filter to another, an archive within it", async () => {
    await server.create({ id: "move-1", metadata: { stage: "draft" } });
    await server.call("PATCH", "/v1/sessions/move-1", { metadata: { stage: "final" } });
    expect((await list("?metadata.stage=draft")).ids).toEqual([]);
    expect((await list("?metadata.stage=final")).ids).toEqual(["move-1"]);
    await server.call("POST", "/v1/sessions/move-1/archive");
    expect((await list("?metadata.stage=final")).ids).toEqual([]);
    expect((await list("?metadata.stage=final&archived=true")).ids).toEqual(["move-1"]);
  });

  test("sorts by created and by updated, both ways", async () => {
    const ids = ["sort-c", "sort-a", "sort-b"];
    let last = "";
    for (const id of ids) {
      // Sorted by the millisecond: each one must have its own.
      await eventually("the clock moves", () => new Date().toISOString() > last);
      await server.create({ id, metadata: { set: "sort" } });
      last = (await server.call("GET", `/v1/sessions/${id}`)).json.created_at;
    }
    await eventually("the clock moves", () => new Date().toISOString() > last);
    await server.call("PATCH", "/v1/sessions/sort-c", { title: "later" });
    for (const limit of [1, 2, 100]) {
      const query = `metadata.set=sort&limit=${limit}`;
      expect(await walk(`${query}&sort=id`)).toEqual(["sort-a", "sort-b", "sort-c"]);
      expect(await walk(`${query}&sort=created`)).toEqual(["sort-c", "sort-a", "sort-b"]);
      expect(await walk(`${query}&sort=created&order=desc`)).toEqual(["sort-b", "sort-a", "sort-c"]);
      expect(await walk(`${query}&sort=updated&order=asc`)).toEqual(["sort-a", "sort-b", "sort-c"]);
      expect(await walk(`${query}&sort=updated&order=desc`)).toEqual(["sort-c", "sort-b", "sort-a"]);
    }
  });

  test("parameters that are not ours are ignored", async () => {
    expect((await server.call("GET", "/v1/sessions?foo=bar&metadatax=1&_=123")).status).toBe(200);
  });

  test.each([
    ["limit=0", "invalid_limit"],
    ["limit=1001", "invalid_limit"],
    ["limit=-1", "invalid_limit"],
    ["limit=1.5", "invalid_limit"],
    ["limit=abc", "invalid_limit"],
    ["limit=", "invalid_limit"],
    ["limit=1&limit=2", "invalid_limit"],
    ["cursor=", "invalid_cursor"],
    ["cursor=nonsense", "invalid_cursor"],
    ["cursor=bnVsbA", "invalid_cursor"],
    ["cursor=%00", "invalid_cursor"],
    ["archived=maybe", "invalid_list_query"],
    ["archived=", "invalid_list_query"],
    ["archived=true&archived=false", "invalid_list_query"],
    ["sort=title", "invalid_list_query"],
    ["order=up", "invalid_list_query"],
    ["metadata=x", "invalid_list_query"],
    ["metadata.=x", "invalid_list_query"],
    ["metadata[]=x", "invalid_list_query"],
    ["metadata.a=%FF", "invalid_list_query"],
    ["%C3%28=x", "invalid_list_query"],
  ])("?%s is refused with %s", async (query, code) => {
    const { status, json } = await server.call("GET", `/v1/sessions?${query}`);
    expect([status, json.error]).toEqual([400, code]);
  });

  test("a cursor of another sort or order, or one that was tampered with, is refused", async () => {
    await Promise.all(
      [1, 2, 3].map((n) => server.create({ id: `cursor-${n}`, metadata: { set: "cursor" } })),
    );
    const { next } = await list("?metadata.set=cursor&limit=1");
    const cursor = String(next);
    for (const query of [
      `sort=created&cursor=${cursor}`,
      `order=desc&cursor=${cursor}`,
      `cursor=${cursor}x!`,
    ]) {
      const { status, json } = await server.call("GET", `/v1/sessions?${query}`);
      expect([query, status, json.error]).toEqual([query, 400, "invalid_cursor"]);
    }
    const odd = (parts: unknown): string => Buffer.from(JSON.stringify(parts)).toString("base64url");
    for (const parts of [
      ["id", "asc", 0],
      ["id", "asc", "0", "x"],
      ["id", "asc", 0, 1],
      ["id", "asc", 0, "a\0b"],
      ["id", "asc", 0, "x".repeat(5_000)],
      ["id", "asc", -1, "x"],
    ]) {
      const { status } = await server.call("GET", `/v1/sessions?cursor=${odd(parts)}`);
      expect([parts, status]).toEqual([parts, 400]);
    }
  });
});
