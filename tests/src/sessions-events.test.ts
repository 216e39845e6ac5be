import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventBody, eventually, startServer, type TestServer } from "@daybook/test-kit";

describe("reading events", () => {
  let server: TestServer;
  let id: string;
  beforeAll(async () => {
    server = await startServer({ store: "memory" });
    id = await server.create();
    await server.fill(id, { to: 2_345 });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const page = async (query: string): Promise<{ seqs: number[]; next: unknown; last: number }> => {
    const { status, json, text } = await server.events(id, query);
    if (status !== 200) throw new Error(text);
    return { seqs: json.events.map(({ seq }) => seq), next: json.next_cursor, last: json.last_seq };
  };
  const range = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, n) => from + n);

  test("begins at the start, 100 at a time", async () => {
    expect(await page("")).toEqual({ seqs: range(1, 100), next: 100, last: 2_345 });
    expect(await page("?cursor=0")).toEqual({ seqs: range(1, 100), next: 100, last: 2_345 });
  });

  test("goes on after the cursor, up to 1,000 at a time", async () => {
    expect(await page("?cursor=7&limit=3")).toEqual({ seqs: [8, 9, 10], next: 10, last: 2_345 });
    expect(await page("?cursor=1000&limit=1000")).toEqual({
      seqs: range(1001, 2000),
      next: 2000,
      last: 2_345,
    });
    expect(await page("?cursor=2000&limit=1000")).toMatchObject({ seqs: range(2001, 2345), next: 2345 });
  });

  test("at the end there is an empty page whose next_cursor is where the reader stands", async () => {
    expect(await page("?cursor=2345")).toEqual({ seqs: [], next: 2345, last: 2345 });
    const empty = await server.create();
    expect((await server.events(empty)).json).toEqual({ events: [], next_cursor: 0, last_seq: 0 });
  });

  test("before gives the page that ends just before a seq, ascending", async () => {
    expect(await page("?before=11&limit=4")).toMatchObject({ seqs: [7, 8, 9, 10] });
    expect(await page("?before=3&limit=100")).toMatchObject({ seqs: [1, 2] });
    expect(await page("?before=1")).toMatchObject({ seqs: [] });
    expect(await page("?before=2346&limit=1000")).toMatchObject({ seqs: range(1346, 2345) });
  });

  test("before beyond the end gives the last page: how a long session is opened", async () => {
    expect(await page(`?before=${Number.MAX_SAFE_INTEGER}&limit=2`)).toMatchObject({ seqs: [2344, 2345] });
    const empty = await server.create();
    expect((await server.events(empty, "?before=100")).json.events).toEqual([]);
  });

  test("walking back page by page meets every event once", async () => {
    const seen: number[] = [];
    for (let before = 2_346; before > 1; before = seen[0] ?? 1)
      seen.unshift(...(await page(`?before=${before}&limit=199`)).seqs);
    expect(seen).toEqual(range(1, 2345));
  });

  test.each([
    ["cursor=-1", "invalid_cursor"],
    ["cursor=abc", "invalid_cursor"],
    ["cursor=", "invalid_cursor"],
    ["cursor=1.0", "invalid_cursor"],
    ["cursor=1e2", "invalid_cursor"],
    ["cursor=01", "invalid_cursor"],
    ["cursor=%2B1", "invalid_cursor"],
    ["cursor=0x10", "invalid_cursor"],
    ["cursor=9007199254740993", "invalid_cursor"],
    ["cursor=1&cursor=1", "invalid_cursor"],
    ["cursor=%FF", "invalid_cursor"],
    ["before=0", "invalid_cursor"],
    ["before=x", "invalid_cursor"],
    ["cursor=1&before=5", "invalid_cursor"],
    ["before=5&wait=1", "invalid_cursor"],
    ["limit=0", "invalid_limit"],
    ["limit=1001", "invalid_limit"],
    ["limit=ten", "invalid_limit"],
    ["wait=61", "invalid_request"],
    ["wait=-1", "invalid_request"],
    ["wait=1.5", "invalid_request"],
  ])("?%s is refused with %s", async (query, code) => {
    const { status, json } = await server.events(id, `?${query}`);
    expect([status, json.error]).toEqual([400, code]);
  });

  test("a cursor beyond the end is refused with the last seq", async () => {
    const { status, json } = await server.events(id, "?cursor=2346");
    expect([status, json.error, json.last_seq]).toEqual([400, "invalid_cursor", 2_345]);
    const waiting = await server.events(id, "?cursor=2346&wait=60");
    expect([waiting.status, waiting.json.error, waiting.json.last_seq]).toEqual([
      400,
      "invalid_cursor",
      2_345,
    ]);
  });

  test("large events make shorter pages, and nothing is skipped", async () => {
    const big = await server.create();
    const payload = { text: "x".repeat(900_000) };
    for (let n = 1; n <= 12; n++) await server.append(big, eventBody(n, { payload }));
    const forward = (await server.events(big, "?limit=1000")).json;
    expect(forward.events.length).toBeLessThan(12);
    expect(forward.next_cursor).toBe(forward.events.length);
    expect((await server.allEvents(big)).map(({ seq }) => seq)).toEqual(range(1, 12));
    const back = (await server.events(big, "?before=13&limit=1000")).json.events.map(({ seq }) => seq);
    expect(back.at(-1)).toBe(12);
    expect(back).toEqual(range(13 - back.length, 12));
  });

  describe("waiting", () => {
    test("answers at once when there is something", async () => {
      expect(await page("?cursor=0&limit=1&wait=60")).toMatchObject({ seqs: [1] });
    });

    test("answers as soon as there is something", async () => {
      const own = await server.create();
      const waiting = server.events(own, "?cursor=0&wait=60");
      await eventually("it waits", async () => (await waits()) === 1);
      await server.append(own, eventBody(1));
      expect((await waiting).json).toMatchObject({ events: [{ seq: 1 }], next_cursor: 1, last_seq: 1 });
    });

    test("answers an empty page when the time is up", async () => {
      const own = await server.create();
      const startedAt = performance.now();
      const { status, json } = await server.events(own, "?cursor=0&wait=1");
      expect([status, json]).toEqual([200, { events: [], next_cursor: 0, last_seq: 0 }]);
      expect(performance.now() - startedAt).toBeGreaterThanOrEqual(990);
    });

    test("wait=0 does not wait", async () => {
      expect(await page("?cursor=2345&wait=0")).toMatchObject({ seqs: [] });
    });

    test("a change of the record is nothing to read: it does not end the wait", async () => {
      const own = await server.create();
      const waiting = server.events(own, "?cursor=0&wait=60");
      await eventually("it waits", async () => (await waits()) === 1);
      await server.call("PATCH", `/v1/sessions/${own}`, { title: "patched" });
      await server.call("POST", `/v1/sessions/${own}/archive`);
      await server.append(own, eventBody(1));
      expect((await waiting).json.events).toHaveLength(1);
    });

    test("ends with 404 when the session is deleted", async () => {
      const own = await server.create();
      const waiting = server.events(own, "?cursor=0&wait=60");
      await eventually("it waits", async () => (await waits()) === 1);
      await server.call("DELETE", `/v1/sessions/${own}`);
      const { status, json } = await waiting;
      expect([status, json.error]).toEqual([404, "session_not_found"]);
    });

    test("a client that goes away while waiting leaves nothing behind", async () => {
      const own = await server.create();
      const abort = new AbortController();
      const waiting = server.call("GET", `/v1/sessions/${own}/events?wait=60`, undefined, {
        signal: abort.signal,
      });
      await eventually("it waits", async () => (await waits()) === 1);
      abort.abort();
      await expect(waiting).rejects.toThrow();
      await eventually("nobody waits", async () => (await waits()) === 0);
    });

    test("many may wait for one session", async () => {
      const own = await server.create();
      const waiting = Array.from({ length: 50 }, () => server.events(own, "?cursor=0&wait=60"));
      await eventually("they wait", async () => (await waits()) === 50);
      await server.append(own, eventBody(1));
      for (const { json } of await Promise.all(waiting)) expect(json.events).toHaveLength(1);
    });

    /** Long polls that are waiting now, as the metrics say. */
    const waits = async (): Promise<number> => {
      const text = await (await fetch(`${server.opsUrl}/metrics`)).text();
      return Number(/^daybook_open_tails\{kind="poll"\} (\d+)$/m.exec(text)?.[1] ?? 0);
    };
  });
});
