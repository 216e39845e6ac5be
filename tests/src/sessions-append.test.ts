import { request } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventBody, eventually, startServer, type TestServer, type WireEvent } from "@daybook/test-kit";
import { RawConnection, requestText } from "./support/raw-http.js";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe("append", () => {
  let server: TestServer;
  let id: string;
  beforeAll(async () => (server = await startServer()));
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(async () => (id = await server.create()));

  const refusal = async (body: unknown): Promise<[number, string]> => {
    const { status, json } = await server.append(id, body);
    return [status, json.error];
  };
  const lastSeq = async (): Promise<number> => (await server.call("GET", `/v1/sessions/${id}`)).json.last_seq;
  const firstEvent = async (): Promise<WireEvent> => {
    const [event] = (await server.events(id)).json.events;
    if (event === undefined) throw new Error("there is no event");
    return event;
  };

  describe("one event", () => {
    test("answers 201 with seq, last_seq, deduped, cursor and committed_cursor", async () => {
      const { status, json } = await server.append(id, eventBody(1));
      expect(status).toBe(201);
      expect(json).toEqual({ seq: 1, last_seq: 1, deduped: false, cursor: 1, committed_cursor: 1 });
      expect((await server.append(id, eventBody(2))).json).toEqual({
        seq: 2,
        last_seq: 2,
        deduped: false,
        cursor: 2,
        committed_cursor: 2,
      });
    });

    test("is readable by everybody once it is acknowledged", async () => {
      for (let n = 1; n <= 20; n++) {
        await server.append(id, eventBody(n));
        expect((await server.events(id, `?cursor=${n - 1}`)).json.events.map(({ seq }) => seq)).toEqual([n]);
      }
    });

    test("a small one reads back with every member that is never null", async () => {
      await server.append(id, eventBody(7));
      expect(await firstEvent()).toEqual({
        seq: 1,
        cursor: 1,
        tenant_id: "default",
        inserted_at: expect.stringMatching(TIME) as string,
        type: "note",
        actor: "service:default",
        producer_id: "writer",
        producer_seq: 7,
        idempotency_key: null,
        metadata: {},
        refs: {},
        payload: { n: 7 },
      });
    });

    test("a full one reads back with all it had", async () => {
      const full = {
        type: "chat.user.message",
        payload: { text: "hi" },
        producer_id: "p",
        producer_seq: 1,
        actor: "user:alice",
        source: "web",
        metadata: { a: [1, null] },
        refs: { to_seq: 0, step: 3, request_id: "r", sequence_id: "s", more: { x: 1 } },
        idempotency_key: "once",
      };
      expect((await server.append(id, full)).status).toBe(201);
      expect(await firstEvent()).toEqual({
        ...full,
        seq: 1,
        cursor: 1,
        tenant_id: "default",
        inserted_at: expect.stringMatching(TIME) as string,
      });
    });

    test("idempotency_key null is as if it were left out", async () => {
      await server.append(id, eventBody(1, { idempotency_key: null }));
      expect((await firstEvent()).idempotency_key).toBeNull();
      expect((await server.append(id, eventBody(1))).json.deduped).toBe(true);
    });

    test("idempotency_key never finds duplicates", async () => {
      await server.append(id, eventBody(1, { idempotency_key: "same" }));
      expect((await server.append(id, eventBody(2, { idempotency_key: "same" }))).json.seq).toBe(2);
    });

    test("unknown members are ignored, and come not back", async () => {
      await server.append(id, eventBody(1, { seq: 99, tenant_id: "x", inserted_at: "never", whatever: {} }));
      const event = await firstEvent();
      expect([event.seq, event.tenant_id, "whatever" in event]).toEqual([1, "default", false]);
    });

    test("with auth off any actor may be named", async () => {
      for (const [n, actor] of ["agent:drafter", "user:bob", "anything at all"].entries())
        expect((await server.append(id, eventBody(n + 1, { actor }))).status).toBe(201);
      expect((await server.events(id)).json.events.map((event) => event.actor)).toEqual([
        "agent:drafter",
        "user:bob",
        "anything at all",
      ]);
    });

    test("inserted_at never goes back along a session", async () => {
      await server.fill(id, { to: 50 });
      const times = (await server.allEvents(id)).map((event) => event.inserted_at);
      expect(times).toEqual([...times].sort());
    });
  });

  describe("exact text", () => {
    const texts = {
      "key order": '{"z":1,"a":2,"10":3,"2":4}',
      "big and odd numbers":
        '{"n":[9007199254740993,123456789012345678901234567890,1.0,1e5,1E+400,-0,0.10,-0.0e-7]}',
      unicode: '{"t":"é日本🎉\u2028\u2029\u00a0","🎉":"ü"}',
      escapes: String.raw`{"t":"\u00e9\/\b\f\n\r\t\"\\ \ud83c\udf89 \u0000 \ud800"}`,
      __proto__: '{"__proto__":{"polluted":1},"constructor":{"prototype":{"x":1}},"toString":null}',
      whitespace: '{ "a" :\t[ 1 ,\n 2 ]\r\n, "b":{ } }',
      "empty names": '{"":{"":[]}}',
    };

    test.each(Object.entries(texts))("payload, metadata and refs keep %s", async (_what, text) => {
      const event = `{"type":"t","payload":${text},"producer_id":"p","producer_seq":1,"metadata":${text},"refs":${text}}`;
      expect((await server.append(id, event)).status).toBe(201);
      const kept = `"metadata":${text},"refs":${text},"payload":${text}}`;
      expect((await server.events(id)).text).toContain(kept);
      expect((await server.events(id, "?before=2")).text).toContain(kept);
    });

    test("a list of events keeps the text of each", async () => {
      const events = Object.values(texts).map(
        (text, index) =>
          `{"type":"t","payload":${text},"producer_id":"p","producer_seq":${index + 1},"metadata":${text}}`,
      );
      expect((await server.append(id, `{"events":[${events.join(" ,\n")}]}`)).status).toBe(201);
      const { text: page } = await server.events(id);
      for (const text of Object.values(texts)) expect(page).toContain(`"refs":{},"payload":${text}}`);
    });

    test("names are text too: type, producer, actor and source keep unicode and quotes", async () => {
      const odd = 'a"b\\c é🎉 ,"actor":';
      await server.append(id, eventBody(1, { type: odd, producer_id: odd, actor: odd, source: odd }));
      expect(await firstEvent()).toMatchObject({ type: odd, producer_id: odd, actor: odd, source: odd });
    });

    test("it is the same after a restart, byte for byte", async () => {
      await using first = await startServer();
      await first.create({ id: "text" });
      for (const [index, text] of Object.values(texts).entries())
        await first.append(
          "text",
          `{"type":"t","payload":${text},"producer_id":"p","producer_seq":${index + 1}}`,
        );
      const before = (await first.events("text")).text;
      await first.close();
      await using second = await startServer({ dataDir: first.dataDir });
      expect((await second.events("text")).text).toBe(before);
    });
  });

  describe("sequencing", () => {
    test("seqs start at 1 and rise by 1 in each session by itself", async () => {
      const other = await server.create();
      for (let n = 1; n <= 5; n++) {
        expect((await server.append(id, eventBody(n))).json.seq).toBe(n);
        expect((await server.append(other, eventBody(n))).json.seq).toBe(n);
      }
    });

    test("many writers at once get each seq once", async () => {
      const answers = await Promise.all(
        Array.from({ length: 200 }, (_, n) => server.append(id, eventBody(1, { producer_id: `p${n}` }))),
      );
      const seqs = answers.map(({ json }) => json.seq).sort((one, other) => one - other);
      expect(seqs).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
    });

    test("expected_seq must be the last seq; a refusal says which that is", async () => {
      expect((await server.append(id, eventBody(1, { expected_seq: 0 }))).json.seq).toBe(1);
      expect((await server.append(id, eventBody(2, { expected_seq: 1 }))).json.seq).toBe(2);
      for (const expected of [0, 1, 3, 99]) {
        const { status, json } = await server.append(id, eventBody(3, { expected_seq: expected }));
        expect([status, json.error, json.current_seq]).toEqual([409, "expected_seq_conflict", 2]);
      }
      expect(await lastSeq()).toBe(2);
    });

    test("of many appends that expect one seq exactly one wins", async () => {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          server.append(id, eventBody(1, { producer_id: `p${n}`, expected_seq: 0 })),
        ),
      );
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
      expect(answers.filter(({ json }) => json.error === "expected_seq_conflict")).toHaveLength(19);
    });

    test("a producer begins with any number, then counts by one", async () => {
      expect((await server.append(id, eventBody(42))).json.seq).toBe(1);
      expect((await server.append(id, eventBody(43))).json.seq).toBe(2);
      for (const producerSeq of [45, 41, 1]) {
        const { status, json } = await server.append(id, eventBody(producerSeq));
        expect([status, json.error]).toEqual([409, "producer_seq_conflict"]);
      }
      expect((await server.append(id, eventBody(1, { producer_id: "other" }))).json.seq).toBe(3);
      expect((await server.append(id, eventBody(44))).json.seq).toBe(4);
    });

    test("the largest producer_seq there can be is taken", async () => {
      expect((await server.append(id, eventBody(Number.MAX_SAFE_INTEGER))).status).toBe(201);
      expect((await server.append(id, eventBody(Number.MAX_SAFE_INTEGER))).json.deduped).toBe(true);
    });

    test("the same event again answers its first seq with deduped, whatever expected_seq says now", async () => {
      await server.append(id, eventBody(1, { expected_seq: 0 }));
      await server.append(id, eventBody(2));
      for (const expected of [0, 1, 2, 77, undefined]) {
        const { status, json } = await server.append(
          id,
          eventBody(1, expected === undefined ? {} : { expected_seq: expected }),
        );
        expect(status).toBe(201);
        expect(json).toEqual({ seq: 1, last_seq: 2, deduped: true, cursor: 1, committed_cursor: 2 });
      }
      expect(await lastSeq()).toBe(2);
    });

    test("same content is judged as canonical JSON: order, spacing and spelling do not count", async () => {
      const event = (payload: string): string =>
        `{"type":"t","payload":${payload},"producer_id":"p","producer_seq":1}`;
      await server.append(id, event(String.raw`{"a":1,"b":[1.0,"é"],"c":100}`));
      const same = String.raw`{"producer_seq":1, "payload": {"c":1e2,"b":[ 1 ,"\u00e9"],"a":1.00},"type":"t","producer_id":"\u0070"}`;
      expect((await server.append(id, same)).json).toMatchObject({ seq: 1, deduped: true });
      expect(await refusal(event('{"a":1,"b":["é",1.0],"c":100}'))).toEqual([
        409,
        "producer_replay_conflict",
      ]);
    });

    test.each([
      ["type", { type: "other" }],
      ["payload", { payload: { n: 2 } }],
      ["actor", { actor: "agent:x" }],
      ["source", { source: "cli" }],
      ["metadata", { metadata: { a: 1 } }],
      ["refs", { refs: { step: 1 } }],
      ["idempotency_key", { idempotency_key: "k" }],
    ])("a pair seen before with another %s is a producer_replay_conflict", async (_member, change) => {
      await server.append(id, eventBody(1));
      expect(await refusal(eventBody(1, change))).toEqual([409, "producer_replay_conflict"]);
      expect(await lastSeq()).toBe(1);
    });

    test("numbers beyond 2^53 that differ are other content", async () => {
      const event = (n: string): string =>
        `{"type":"t","payload":{"n":${n}},"producer_id":"p","producer_seq":1}`;
      await server.append(id, event("9007199254740993"));
      expect(await refusal(event("9007199254740992"))).toEqual([409, "producer_replay_conflict"]);
      expect((await server.append(id, event("9007199254740993"))).json.deduped).toBe(true);
    });

    test("the same event sent many times at once is written once", async () => {
      const answers = await Promise.all(Array.from({ length: 30 }, () => server.append(id, eventBody(1))));
      expect(answers.every(({ status, json }) => status === 201 && json.seq === 1)).toBe(true);
      expect(answers.filter(({ json }) => !json.deduped)).toHaveLength(1);
      expect(await lastSeq()).toBe(1);
    });

    test("retries are known after a restart, and other content still is a conflict", async () => {
      await using first = await startServer();
      await first.create({ id: "retry" });
      await first.fill("retry", { to: 30 });
      await first.close();
      await using second = await startServer({ dataDir: first.dataDir });
      expect((await second.append("retry", eventBody(9))).json).toMatchObject({ seq: 9, deduped: true });
      const other = await second.append("retry", eventBody(9, { type: "other" }));
      expect(other.json.error).toBe("producer_replay_conflict");
      expect((await second.append("retry", eventBody(31))).json).toMatchObject({ seq: 31, deduped: false });
    });

    test("memory reaches 1,024 pairs back; what is older is a conflict and never an append", async () => {
      await server.fill(id, { to: 1_030 });
      expect((await server.append(id, eventBody(7))).json).toMatchObject({ seq: 7, deduped: true });
      expect(await refusal(eventBody(6))).toEqual([409, "producer_seq_conflict"]);
      expect(await refusal(eventBody(1))).toEqual([409, "producer_seq_conflict"]);
      expect(await lastSeq()).toBe(1_030);
    });

    test("65,536 pairs a session: the least recently used producer goes first, and still appends nothing twice", async () => {
      await using own = await startServer({ store: "memory" });
      await own.create({ id: "many" });
      const producers = 66;
      for (let p = 0; p < producers; p++) {
        const events = (from: number, to: number): Record<string, unknown>[] =>
          Array.from({ length: to - from + 1 }, (_, n) => eventBody(from + n, { producer_id: `p${p}` }));
        for (const [from, to] of [
          [1, 1_000],
          [1_001, 1_024],
        ] as const)
          expect((await own.append("many", { events: events(from, to) })).status).toBe(201);
      }
      // 66 × 1,024 pairs are more than 65,536: the first producers have been forgotten, the last are all there.
      const oldest = await own.append("many", eventBody(1_024, { producer_id: "p0" }));
      expect(oldest.json.error).toBe("producer_seq_conflict");
      const newest = await own.append("many", eventBody(1, { producer_id: "p65" }));
      expect(newest.json).toMatchObject({ deduped: true });
      expect((await own.append("many", eventBody(1_025, { producer_id: "p0" }))).json.deduped).toBe(false);
    });
  });

  describe("a list of events", () => {
    const list = (...events: unknown[]): unknown => ({ events });

    test("answers 201 with one result an event and the frontier", async () => {
      const { status, json } = await server.append(id, list(eventBody(1), eventBody(2), eventBody(3)));
      expect(status).toBe(201);
      expect(json).toEqual({
        results: [1, 2, 3].map((seq) => ({ seq, deduped: false })),
        last_seq: 3,
        cursor: 3,
        committed_cursor: 3,
      });
    });

    test("of one event is still a list", async () => {
      expect((await server.append(id, list(eventBody(1)))).json.results).toEqual([
        { seq: 1, deduped: false },
      ]);
    });

    test("expected_seq beside events is checked; inside one it is refused with its index", async () => {
      await server.append(id, eventBody(1));
      const beside = await server.append(id, { events: [eventBody(2)], expected_seq: 0 });
      expect([beside.status, beside.json.error, beside.json.current_seq]).toEqual([
        409,
        "expected_seq_conflict",
        1,
      ]);
      expect((await server.append(id, { events: [eventBody(2)], expected_seq: 1 })).status).toBe(201);
      const inside = await server.append(id, list(eventBody(3), eventBody(4, { expected_seq: 3 })));
      expect([inside.status, inside.json.error, inside.json.index]).toEqual([400, "invalid_event", 1]);
      expect(await lastSeq()).toBe(2);
    });

    test("expected_seq is checked only if something is new", async () => {
      await server.append(id, list(eventBody(1), eventBody(2)));
      const again = await server.append(id, { events: [eventBody(1), eventBody(2)], expected_seq: 0 });
      expect(again.json.results).toEqual([
        { seq: 1, deduped: true },
        { seq: 2, deduped: true },
      ]);
      const partly = await server.append(id, { events: [eventBody(2), eventBody(3)], expected_seq: 0 });
      expect([partly.status, partly.json.error]).toEqual([409, "expected_seq_conflict"]);
    });

    test("events seen before answer their first seq, the new ones go in contiguously", async () => {
      await server.append(id, list(eventBody(1), eventBody(2)));
      await server.append(id, eventBody(1, { producer_id: "other" }));
      const { json } = await server.append(id, list(eventBody(2), eventBody(3), eventBody(1), eventBody(4)));
      expect(json).toMatchObject({
        results: [
          { seq: 2, deduped: true },
          { seq: 4, deduped: false },
          { seq: 1, deduped: true },
          { seq: 5, deduped: false },
        ],
        last_seq: 5,
        cursor: 5,
      });
    });

    test("the same pair twice in one list is one event", async () => {
      const { json } = await server.append(id, list(eventBody(1), eventBody(1)));
      expect(json.results).toEqual([
        { seq: 1, deduped: false },
        { seq: 1, deduped: true },
      ]);
      const conflict = await server.append(id, list(eventBody(2), eventBody(2, { type: "other" })));
      expect([conflict.status, conflict.json.error, conflict.json.index]).toEqual([
        409,
        "producer_replay_conflict",
        1,
      ]);
    });

    test("producer order holds along the list, for several producers", async () => {
      const b = (n: number): unknown => eventBody(n, { producer_id: "b" });
      expect((await server.append(id, list(eventBody(5), b(9), eventBody(6), b(10)))).status).toBe(201);
      const gap = await server.append(id, list(eventBody(7), b(11), b(13)));
      expect([gap.status, gap.json.error, gap.json.index]).toEqual([409, "producer_seq_conflict", 2]);
      expect(await lastSeq()).toBe(4);
    });

    test.each([
      ["a bad event", { type: "" }, 400, "invalid_event"],
      ["bad refs", { refs: { step: -1 } }, 400, "invalid_refs"],
      ["bad metadata", { metadata: [] }, 400, "invalid_metadata"],
      ["a gap of the producer", { producer_seq: 9 }, 409, "producer_seq_conflict"],
    ])("%s refuses all of it, with its index", async (_what, change, status, code) => {
      const answer = await server.append(id, list(eventBody(1), eventBody(2), eventBody(3, change)));
      expect([answer.status, answer.json.error, answer.json.index]).toEqual([status, code, 2]);
      expect(await lastSeq()).toBe(0);
      expect((await server.append(id, eventBody(1))).json).toMatchObject({ seq: 1, deduped: false });
    });

    test("an empty list is refused", async () => {
      expect(await refusal({ events: [] })).toEqual([400, "invalid_event"]);
    });

    test("is one commit: a reader sees all of it or nothing", async () => {
      const seen = new Set<number>();
      const writing = new AbortController();
      const watching = (async () => {
        while (!writing.signal.aborted) seen.add((await server.events(id, "?limit=1000")).json.last_seq);
      })();
      for (let n = 0; n < 30; n++)
        await server.append(id, list(...Array.from({ length: 20 }, (_, k) => eventBody(n * 20 + k + 1))));
      writing.abort();
      await watching;
      expect([...seen].filter((count) => count % 20 !== 0)).toEqual([]);
    });
  });

  describe("a client that goes away", () => {
    test("right after it sent its request has its write counted", async () => {
      for (let n = 1; n <= 20; n++) {
        const connection = await RawConnection.open(server.url);
        const line = `POST /v1/sessions/${id}/append`;
        connection.write(requestText(server.url, { line, body: JSON.stringify(eventBody(n)) }));
        // Everything is sent, then the connection is gone without a word.
        await new Promise<void>((sent) => connection.socket.end(sent));
        connection.socket.destroy();
      }
      await eventually("all 20 are there", async () => (await lastSeq()) === 20);
    });

    test("in the middle of its body has written nothing, and readers wait for nothing", async () => {
      await new Promise<void>((gone) => {
        const cut = request(`${server.url}/v1/sessions/${id}/append`, {
          method: "POST",
          headers: { "content-type": "application/json", "content-length": "1000" },
        });
        cut.on("error", () => gone());
        cut.write(JSON.stringify(eventBody(1)).slice(0, 30), () => cut.destroy());
        cut.on("close", () => gone());
      });
      expect((await server.append(id, eventBody(1))).json).toMatchObject({ seq: 1, deduped: false });
    });
  });
});
