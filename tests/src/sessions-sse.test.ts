import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventBody, eventually, startServer, type TestServer, within } from "@daybook/test-kit";
import { EventStream } from "./support/event-stream.js";
import { openTails } from "./support/metric.js";
import { openTail } from "./support/tail-socket.js";

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe("the tail as server-sent events", () => {
  let server: TestServer;
  let id: string;
  beforeAll(async () => (server = await startServer()));
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(async () => (id = await server.create()));

  const open = (query = "", headers: Record<string, string> = {}): Promise<EventStream> =>
    EventStream.open(`${server.url}/v1/sessions/${id}/tail${query}`, headers);

  test("answers at once, before there is any event, with the right headers", async () => {
    using stream = await open();
    expect(stream.response.status).toBe(200);
    expect(stream.response.headers.get("content-type")).toBe("text/event-stream");
    expect(stream.response.headers.get("cache-control")).toBe("no-store");
    await eventually("a comment comes", () => stream.comments.length > 0);
  });

  test("is asked for in any case and beside other types", async () => {
    for (const accept of ["Text/Event-Stream", "text/html, text/event-stream;q=0.5"]) {
      using stream = await open("", { accept });
      expect(stream.response.headers.get("content-type")).toBe("text/event-stream");
    }
  });

  test("replays, then follows live; the id is the seq, the data the event's very JSON", async () => {
    await server.fill(id, { to: 3 });
    using stream = await open();
    using socket = await openTail(server.url, id);
    await stream.received(3);
    await server.append(id, eventBody(4));
    await stream.received(4);
    await socket.reached(4);
    expect(stream.messages.map((message) => message.id)).toEqual(["1", "2", "3", "4"]);
    expect(stream.messages.map((message) => message.data)).toEqual(socket.frames);
    expect(stream.messages.every(({ event }) => event === undefined)).toBe(true);
  });

  test("begins after the cursor, or after Last-Event-ID, which counts more", async () => {
    await server.fill(id, { to: 6 });
    using byCursor = await open("?cursor=4");
    using byHeader = await open("?cursor=1", { "last-event-id": "5" });
    using byEmptyHeader = await open("?cursor=5", { "last-event-id": "" });
    await byCursor.received(2);
    await byHeader.received(1);
    await byEmptyHeader.received(1);
    expect([byCursor.seqs, byHeader.seqs, byEmptyHeader.seqs]).toEqual([[5, 6], [6], [6]]);
  });

  test("agent sends only that agent's events, with their own ids; a name that none can have is refused", async () => {
    for (const [n, actor] of ["agent:a", "agent:b", "user:a", "agent:a"].entries())
      await server.append(id, eventBody(n + 1, { actor }));
    using stream = await open("?agent=a");
    await stream.received(2);
    await server.append(id, eventBody(5, { actor: "agent:b" }));
    await server.append(id, eventBody(6, { actor: "agent:a" }));
    await stream.received(3);
    expect(stream.messages.map((message) => message.id)).toEqual(["1", "4", "6"]);
    for (const query of ["?agent=", "?agent=a&agent=b", "?agent=%00"]) {
      const { status, json } = await server.call("GET", `/v1/sessions/${id}/tail${query}`, undefined, {
        headers: { accept: "text/event-stream" },
      });
      expect([status, json.error]).toEqual([400, "invalid_request"]);
    }
  });

  test("a reader that reconnects with the last id it saw misses and repeats nothing", async () => {
    const seen: number[] = [];
    const writing = (async () => {
      for (let n = 1; n <= 200; n++) await server.append(id, eventBody(n));
    })();
    while (seen.length < 200) {
      const last = seen.at(-1);
      using stream = await open("", last === undefined ? {} : { "last-event-id": String(last) });
      await stream.received(Math.min(23, 200 - seen.length));
      seen.push(...stream.seqs);
    }
    await writing;
    expect(seen).toEqual(range(1, 200));
  });

  test("line ends between JSON tokens are no ends of the data", async () => {
    const payload = '{\n"a":\r\n[1,\r2]\n\n,\t"b":"\\n"}';
    await server.append(id, `{"type":"t","payload":${payload},"producer_id":"p","producer_seq":1}`);
    await server.append(id, eventBody(1));
    using stream = await open();
    await stream.received(2);
    // The standard gives a reader every line end as \n.
    expect(stream.messages[0]?.data).toContain(`"payload":${payload.replace(/\r\n|\r/g, "\n")}}`);
    expect(stream.events[0]?.payload).toEqual({ a: [1, 2], b: "\n" });
    expect(stream.seqs).toEqual([1, 2]);
  });

  test("long sessions come whole and in order", async () => {
    await server.fill(id, { to: 3_000, more: { payload: { text: "é".repeat(300) } } });
    using stream = await open();
    await stream.received(3_000);
    expect(stream.seqs).toEqual(range(1, 3_000));
  });

  test("deletion is said as an event, then it ends", async () => {
    await server.fill(id, { to: 1 });
    using stream = await open();
    await stream.received(1);
    await server.call("DELETE", `/v1/sessions/${id}`);
    await within("the stream ends", stream.ended);
    expect(stream.messages.at(-1)).toEqual({ id: undefined, event: "deleted", data: "{}" });
  });

  test("a client that goes away is forgotten", async () => {
    const before = await openTails(server.opsUrl, "sse");
    const stream = await open();
    expect(await openTails(server.opsUrl, "sse")).toBe(before + 1);
    stream[Symbol.dispose]();
    await eventually("it is forgotten", async () => (await openTails(server.opsUrl, "sse")) === before);
  });

  test("a silent stream shows that it lives", async () => {
    await using own = await startServer({ settings: { pingSeconds: 1 }, store: "memory" });
    const session = await own.create();
    using stream = await EventStream.open(`${own.url}/v1/sessions/${session}/tail`);
    await eventually("heartbeats come", () => stream.comments.length >= 3);
    expect(stream.messages).toEqual([]);
  });

  test.each([
    ["?cursor=x", {}],
    ["?cursor=-1", {}],
    ["?cursor=", {}],
    ["", { "last-event-id": "abc" }],
    ["", { "last-event-id": "-1" }],
    ["", { "last-event-id": "1.5" }],
  ])("%s %j is refused with invalid_cursor", async (query, headers) => {
    using stream = await open(query, headers);
    expect(stream.response.status).toBe(400);
  });

  test("a cursor beyond the end is refused with the last seq, in the query and in the header", async () => {
    await server.fill(id, { to: 2 });
    for (const [query, headers] of [
      ["?cursor=3", {}],
      ["", { "last-event-id": "3" }],
    ] as const) {
      const answer = await server.call("GET", `/v1/sessions/${id}/tail${query}`, undefined, {
        headers: { accept: "text/event-stream", ...headers },
      });
      expect([answer.status, answer.json.error, answer.json.last_seq]).toEqual([400, "invalid_cursor", 2]);
    }
  });

  test("an unknown session is 404", async () => {
    const { status, json } = await server.call("GET", "/v1/sessions/nobody/tail", undefined, {
      headers: { accept: "text/event-stream" },
    });
    expect([status, json.error]).toEqual([404, "session_not_found"]);
  });
});
