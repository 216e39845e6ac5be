import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventBody, startServer, type TestServer } from "@daybook/test-kit";

/** Every limit at its edge: taken at the limit, refused one past it. */
describe("limits", () => {
  let server: TestServer;
  let id: string;
  beforeAll(async () => (server = await startServer({ store: "memory" })));
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(async () => (id = await server.create()));

  const MIB = 1024 * 1024;

  /** An event whose JSON text has exactly this many bytes. */
  const eventOf = (bytes: number, producerSeq = 1): string => {
    const text = (filler: string): string =>
      `{"type":"t","payload":{"x":"${filler}"},"producer_id":"p","producer_seq":${producerSeq}}`;
    return text("x".repeat(bytes - text("").length));
  };
  const answer = async (body: unknown): Promise<[number, string | undefined]> => {
    const { status, json } = await server.append(id, body);
    return [status, json.error];
  };

  test("an event has 1 MiB", async () => {
    expect(await answer(eventOf(MIB))).toEqual([201, undefined]);
    expect(await answer(eventOf(MIB + 1, 2))).toEqual([413, "event_too_large"]);
    const { json } = await server.events(id);
    expect(json.events).toHaveLength(1);
  });

  test("an event of a list has 1 MiB of payload, metadata, refs and state together, and is named by its index", async () => {
    const inner = (bytes: number): string =>
      `{"type":"t","payload":{"x":"${"x".repeat(bytes - 8 - 7)}"},"metadata":{"a":1},"producer_id":"p","producer_seq":1}`;
    expect(await answer(`{"events":[${inner(MIB)}]}`)).toEqual([201, undefined]);
    const { status, json } = await server.append(id, `{"events":[${eventOf(200, 2)},${inner(MIB + 1)}]}`);
    expect([status, json.error, json.index]).toEqual([413, "event_too_large", 1]);
  });

  test("a list has 1,000 events", async () => {
    const events = (count: number): unknown[] => Array.from({ length: count }, (_, n) => eventBody(n + 1));
    expect(await answer({ events: events(1_000) })).toEqual([201, undefined]);
    expect(await answer({ events: events(1_001) })).toEqual([400, "invalid_event"]);
  });

  test("a list has 8 MiB", async () => {
    const list = (bytes: number): string => {
      const events = Array.from({ length: 8 }, (_, n) => eventOf(MIB - 1_000, n + 1));
      const text = `{"events":[${events.join(",")}]}`;
      return text + " ".repeat(bytes - text.length);
    };
    expect(await answer(list(8 * MIB))).toEqual([201, undefined]);
    expect(await answer(list(8 * MIB + 1))).toEqual([413, "event_too_large"]);
  });

  test("a body that does not say how long it is, is cut off at the limit too", async () => {
    const chunks = function* (): Generator<Uint8Array> {
      for (let n = 0; n < 12; n++) yield new Uint8Array(MIB).fill(0x20);
    };
    const { status } = await fetch(`${server.url}/v1/sessions/${id}/append`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: ReadableStream.from(chunks()),
      duplex: "half",
    });
    expect(status).toBe(413);
  });

  test("a title has 1 KiB of UTF-8", async () => {
    for (const [title, status] of [
      ["x".repeat(1024), 201],
      ["x".repeat(1025), 400],
      ["é".repeat(512), 201],
      [`${"é".repeat(512)}x`, 400],
    ] as const) {
      const created = await server.call("POST", "/v1/sessions", { title });
      expect([title.length, created.status]).toEqual([title.length, status]);
      const patched = await server.call("PATCH", `/v1/sessions/${id}`, { title });
      expect(patched.status).toBe(status === 201 ? 200 : 400);
      if (status === 400) {
        expect(created.json.error).toBe("invalid_session");
        expect(patched.json.error).toBe("invalid_session");
      }
    }
  });

  test("a session's metadata has 64 KiB, at creation and after merging", async () => {
    const metadata = (bytes: number, name = "a"): string => `{"${name}":"${"x".repeat(bytes - 8)}"}`;
    const created = await server.call("POST", "/v1/sessions", `{"metadata":${metadata(65_536)}}`);
    expect(created.status).toBe(201);
    const over = await server.call("POST", "/v1/sessions", `{"metadata":${metadata(65_537)}}`);
    expect([over.status, over.json.error]).toEqual([400, "invalid_metadata"]);
    const path = `/v1/sessions/${created.json.id}`;
    const merged = await server.call("PATCH", path, { metadata: { b: 1 } });
    expect([merged.status, merged.json.error]).toEqual([400, "invalid_metadata"]);
    const replaced = await server.call("PATCH", path, `{"metadata":${metadata(65_536)}}`);
    expect([replaced.status, replaced.json.version]).toEqual([200, 2]);
  });

  test("ids, names and actors have 256 characters", async () => {
    const just = "i".repeat(256);
    expect((await server.call("POST", "/v1/sessions", { id: just })).status).toBe(201);
    expect((await server.call("GET", `/v1/sessions/${just}`)).status).toBe(200);
    const over = await server.call("POST", "/v1/sessions", { id: `${just}i` });
    expect([over.status, over.json.error]).toEqual([400, "invalid_session_id"]);
    const looked = await server.call("GET", `/v1/sessions/${just}i`);
    expect([looked.status, looked.json.error]).toEqual([400, "invalid_session_id"]);
    let producerSeq = 1;
    for (const member of ["type", "actor", "source", "idempotency_key"] as const) {
      expect(await answer(eventBody(producerSeq++, { [member]: just }))).toEqual([201, undefined]);
      expect(await answer(eventBody(producerSeq, { [member]: `${just}i` }))).toEqual([400, "invalid_event"]);
    }
    expect(await answer(eventBody(1, { producer_id: just }))).toEqual([201, undefined]);
    expect(await answer(eventBody(1, { producer_id: `${just}i` }))).toEqual([400, "invalid_event"]);
  });

  test("characters are counted as JavaScript does: 128 emoji are 256", async () => {
    const emoji = "🎉".repeat(128);
    expect((await server.call("POST", "/v1/sessions", { id: emoji })).status).toBe(201);
    expect((await server.call("GET", `/v1/sessions/${encodeURIComponent(emoji)}`)).json.id).toBe(emoji);
    expect((await server.call("POST", "/v1/sessions", { id: `${emoji}x` })).json.error).toBe(
      "invalid_session_id",
    );
  });

  test("a path far longer than any id is refused, not taken", async () => {
    const { status, json } = await server.call("GET", `/v1/sessions/${"x".repeat(10_000)}`);
    expect([status, json.error]).toEqual([400, "invalid_session_id"]);
  });

  test("JSON nests 64 deep, counted from the body", async () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    // The body and the payload are two.
    const event = (depth: number, producerSeq: number): string =>
      `{"type":"t","payload":{"x":${nested(depth - 2)}},"producer_id":"p","producer_seq":${producerSeq}}`;
    expect(await answer(event(64, 1))).toEqual([201, undefined]);
    expect(await answer(event(65, 2))).toEqual([400, "invalid_event"]);
    // In a list: the body, the list, the event and the payload.
    const list = (depth: number): string => `{"events":[${event(depth - 2, 2)}]}`;
    expect(await answer(list(64))).toEqual([201, undefined]);
    expect(await answer(list(65))).toEqual([400, "invalid_event"]);
    const metadata = (depth: number): string => `{"metadata":{"x":${nested(depth - 2)}}}`;
    expect((await server.call("POST", "/v1/sessions", metadata(64))).status).toBe(201);
    const over = await server.call("POST", "/v1/sessions", metadata(65));
    expect([over.status, over.json.error]).toEqual([400, "invalid_metadata"]);
  });

  test("a million brackets are refused like 65", async () => {
    expect(await answer(`{"type":"t","payload":${"[".repeat(1_000_000)}`)).toEqual([400, "invalid_event"]);
  });

  test("what is stored at the limits reads back in every way", async () => {
    const text = eventOf(MIB);
    await server.append(id, text);
    const wanted = /"payload":(\{.*?\})/.exec(text)?.[1] ?? "";
    expect((await server.events(id)).text).toContain(wanted);
    expect((await server.append(id, text)).json.deduped).toBe(true);
  });

  test("limits can be set, and are kept at their edge then too", async () => {
    const settings = { eventBytesMax: 2_000, batchEventsMax: 3, batchBytesMax: 5_000 };
    await using small = await startServer({ store: "memory", settings });
    await small.create({ id: "s" });
    const status = async (body: unknown): Promise<number> => (await small.append("s", body)).status;
    expect(await status(eventOf(2_000, 1))).toBe(201);
    expect(await status(eventOf(2_001, 2))).toBe(413);
    const list = (count: number): string =>
      `{"events":[${Array.from({ length: count }, (_, n) => eventOf(200, n + 2)).join(",")}]}`;
    expect(await status(list(3))).toBe(201);
    expect(await status(list(4))).toBe(400);
    expect(await status(list(3) + " ".repeat(5_000 - list(3).length))).toBe(201);
    expect(await status(list(3) + " ".repeat(5_001 - list(3).length))).toBe(413);
  });
});
