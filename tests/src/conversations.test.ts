import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CallAnswer, eventBody, startServer, type TestServer } from "@daybook/test-kit";
import { conversationPath, say, tailOf, text, type WireMessage } from "./support/conversation.js";

let server: TestServer;
beforeAll(async () => (server = await startServer()));
afterAll(() => server[Symbol.asyncDispose]());

let ids = 0;
const newId = (): string => `conversation-${++ids}`;

const call = (method: string, path: string, body?: unknown): Promise<CallAnswer> =>
  server.call(method, `/v1/conversations/${path}`, body);

async function created(metadata: Record<string, unknown> = {}): Promise<string> {
  const id = newId();
  expect((await call("PUT", id, { metadata })).status).toBe(200);
  return id;
}

const messagesOf = async (path: string): Promise<readonly WireMessage[]> => {
  const { status, json } = await call("GET", path);
  expect(status).toBe(200);
  return (json as unknown as { messages: WireMessage[] }).messages;
};

describe("a conversation's record", () => {
  test("is created by PUT, with version 0 and all its members", async () => {
    const id = newId();
    const { status, json } = await call("PUT", id, { metadata: { channel: "web" } });
    expect(status).toBe(200);
    expect(json).toEqual({
      id,
      version: 0,
      tombstoned: false,
      last_seq: 0,
      archived_seq: 0,
      metadata: { channel: "web" },
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown,
      updated_at: json.created_at,
    });
    expect((await call("GET", id)).json).toEqual(json);
  });

  test("has its metadata replaced by PUT, not merged, with the exact text; its version stays", async () => {
    const id = await created({ a: 1, b: 2 });
    await say(server, id, "hello");
    const replaced = await call("PUT", id, '{"metadata":{"c":1.0,"big":12345678901234567890}}');
    expect(replaced.text).toContain('"metadata":{"c":1.0,"big":12345678901234567890}');
    expect(replaced.json).toMatchObject({ version: 1, last_seq: 1 });
    expect((await call("PUT", id)).json.metadata).toEqual({});
    expect((await call("GET", id)).json).toMatchObject({ metadata: {}, version: 1 });
  });

  test("is not written again by a PUT that changes nothing", async () => {
    const id = await created({ a: 1 });
    const before = (await server.call("GET", `/v1/sessions/${id}`)).json;
    await call("PUT", id, { metadata: { a: 1 } });
    expect((await server.call("GET", `/v1/sessions/${id}`)).json).toEqual(before);
  });

  test.each([[[]], ["text"], [1], [null], [true]])("refuses the metadata %j", async (metadata) => {
    const id = newId();
    const { status, json } = await call("PUT", id, { metadata });
    expect([status, json.error]).toEqual([400, "invalid_metadata"]);
    expect(json.message).toContain("metadata");
    expect((await call("GET", id)).status).toBe(404);
  });

  test("of an unknown id is 404, for DELETE and appends too", async () => {
    for (const answer of [
      await call("GET", "nobody"),
      await call("DELETE", "nobody"),
      await call("POST", "nobody/messages", { message: text("user", "hi") }),
    ]) {
      expect([answer.status, answer.json.error]).toEqual([404, "conversation_not_found"]);
    }
    expect((await call("GET", "nobody")).status).toBe(404);
  });

  test("cannot be made again after the session was erased", async () => {
    const id = await created();
    await say(server, id, "secret");
    await server.call("DELETE", `/v1/sessions/${id}`);
    expect((await call("PUT", id)).json.error).toBe("session_deleted");
    expect((await call("GET", id)).json.error).toBe("conversation_not_found");
    expect(await messagesOf(`${id}/tail`)).toEqual([]);
    expect(await messagesOf(`${id}/messages`)).toEqual([]);
  });
});

describe("an appended message", () => {
  test("is answered with seq, version and token count, and read back whole", async () => {
    const id = await created();
    const parts = [
      { type: "text", text: "twelve bytes" },
      { type: "file", url: "https://example.com/a" },
    ];
    const answer = await call("POST", `${id}/messages`, {
      message: { role: "assistant", parts, metadata: { model: "m" } },
    });
    expect([answer.status, answer.json]).toEqual([201, { seq: 1, version: 1, token_count: 3 }]);
    const [message] = await messagesOf(`${id}/tail`);
    expect(message).toEqual({
      seq: 1,
      role: "assistant",
      parts,
      token_count: 3,
      metadata: { model: "m" },
      inserted_at: expect.stringMatching(/Z$/) as unknown,
    });
    expect((await call("GET", id)).json).toMatchObject({ version: 1, last_seq: 1 });
  });

  test("keeps the exact text of its parts and metadata", async () => {
    const id = await created();
    const parts = '[ {"text":"a\\u0041", "type":"text","n":1.00} ]';
    await call(
      "POST",
      `${id}/messages`,
      `{"message":{"role":"user","parts":${parts},"metadata":{"z":1e2,"a":1}}}`,
    );
    const { text: page } = await call("GET", `${id}/tail`);
    expect(page).toContain(`"parts":${parts},`);
    expect(page).toContain('"metadata":{"z":1e2,"a":1}');
  });

  test.each([
    [0, 0],
    [17, 17],
    [-1, 2],
    [1.5, 2],
    ["9", 2],
    [null, 2],
    [undefined, 2],
  ])("counts %j tokens as %d", async (sent, counted) => {
    const id = await created();
    const message = { ...text("user", "8 bytes."), token_count: sent };
    expect((await call("POST", `${id}/messages`, { message })).json).toMatchObject({ token_count: counted });
    expect((await tailOf(server, id))[0]?.token_count).toBe(counted);
  });

  test("has its tokens estimated part by part, from bytes of UTF-8", async () => {
    const id = await created();
    // 3 + 3 bytes; 4 × 2 bytes; 4 bytes of one emoji; no text at all, a text that is none.
    const parts = [
      { type: "text", text: "abc" },
      { type: "text", text: "abc" },
      { type: "text", text: "éééé" },
      { type: "text", text: "🙂" },
      { type: "tool" },
      { type: "text", text: 7 },
    ];
    const { json } = await call("POST", `${id}/messages`, { message: { role: "user", parts } });
    expect(json).toMatchObject({ token_count: 3 });
  });

  test("is an event of type message on the session, in the server's own name and of the caller", async () => {
    const id = await created();
    await say(server, id, "hello");
    const [event] = await server.allEvents(id);
    expect(event).toMatchObject({
      type: "message",
      actor: "service:default",
      producer_id: "daybook",
      producer_seq: 1,
      payload: {
        role: "user",
        parts: [{ type: "text", text: "hello" }],
        metadata: {},
        token_count: 1,
      },
    });
  });

  test("takes no producer's place: the same message twice is two messages", async () => {
    const id = await created();
    await say(server, id, "again");
    await say(server, id, "again");
    expect(await tailOf(server, id)).toHaveLength(2);
  });
});

describe("a message that is sent again", () => {
  const send = (
    id: string,
    body: Record<string, unknown>,
    headers: Record<string, string> = {},
  ): Promise<CallAnswer> => server.call("POST", `/v1/conversations/${id}/messages`, body, { headers });
  const hello = { message: text("user", "hello") };

  test("with the same Idempotency-Key answers the first seq and writes nothing", async () => {
    const id = await created();
    const key = { "idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324" };
    const first = await send(id, { ...hello, if_version: 0 }, key);
    expect([first.status, first.json]).toEqual([201, { seq: 1, version: 1, token_count: 1 }]);
    await say(server, id, "another");
    const again = await send(id, { ...hello, if_version: 0 }, key);
    expect([again.status, again.json]).toEqual([201, { seq: 1, version: 2, token_count: 1 }]);
    const other = await send(id, { message: text("user", "changed") }, key);
    expect([other.status, other.json.error]).toEqual([409, "idempotency_key_reused"]);
    expect((await tailOf(server, id)).map(({ seq }) => seq)).toEqual([1, 2]);
    const events = await server.allEvents(id);
    expect(events.map((event) => event.idempotency_key)).toEqual([key["idempotency-key"], null]);
  });

  test("with the same producer_id and producer_seq, beside the message, does so too", async () => {
    const id = await created();
    const pair = { producer_id: "app", producer_seq: 7 };
    expect((await send(id, { ...hello, ...pair })).json).toMatchObject({ seq: 1 });
    expect((await send(id, { ...hello, ...pair })).json).toMatchObject({ seq: 1, version: 1 });
    expect((await send(id, { message: text("user", "changed"), ...pair })).json.error).toBe(
      "producer_replay_conflict",
    );
    expect((await send(id, { ...hello, ...pair, producer_seq: 9 })).json.error).toBe("producer_seq_conflict");
    expect((await send(id, { ...hello, ...pair, producer_seq: 8 })).json).toMatchObject({ seq: 2 });
    const [event] = await server.allEvents(id);
    expect(event).toMatchObject({ producer_id: "app", producer_seq: 7, type: "message" });
  });

  test("names its key or its producer well, and only one of them", async () => {
    const id = await created();
    const refusals: [Record<string, unknown>, Record<string, string>, string][] = [
      [{}, { "idempotency-key": "" }, "Idempotency-Key"],
      [{}, { "idempotency-key": "x".repeat(257) }, "Idempotency-Key"],
      [{ producer_id: "p" }, {}, "producer_seq"],
      [{ producer_seq: 1 }, {}, "producer_id"],
      [{ producer_id: "", producer_seq: 1 }, {}, "producer_id"],
      [{ producer_id: "p", producer_seq: 0 }, {}, "producer_seq"],
      [{ producer_id: "a\nb", producer_seq: 1 }, {}, "producer_id"],
      [{ producer_id: "p", producer_seq: 1 }, { "idempotency-key": "k" }, "not both"],
    ];
    for (const [more, headers, named] of refusals) {
      const { status, json } = await send(id, { ...hello, ...more }, headers);
      expect([status, json.error]).toEqual([400, "invalid_message"]);
      expect(json.message).toContain(named);
    }
    expect((await send(id, hello, { "idempotency-key": "x".repeat(256) })).status).toBe(201);
  });
});

describe("if_version", () => {
  test("appends only onto the version it names, 0 at first", async () => {
    const id = await created();
    const append = (ifVersion: number): Promise<CallAnswer> =>
      call("POST", `${id}/messages`, { message: text("user", "x"), if_version: ifVersion });
    expect((await append(0)).status).toBe(201);
    const refused = await append(0);
    expect(refused.status).toBe(409);
    expect(refused.json).toEqual({ error: "conflict", message: "Version mismatch (current: 1)" });
    expect((await append(2)).json.message).toBe("Version mismatch (current: 1)");
    expect((await append(1)).json).toMatchObject({ seq: 2, version: 2 });
  });

  test("counts every event of the session", async () => {
    const id = await created();
    await server.append(id, eventBody(1));
    const stale = await call("POST", `${id}/messages`, { message: text("user", "x"), if_version: 0 });
    expect(stale.json.message).toBe("Version mismatch (current: 1)");
  });
});

describe("a tombstone", () => {
  test("closes the log for both dialects, leaves reads, and PUT opens it again", async () => {
    const id = await created({ a: 1 });
    await say(server, id, "one");
    expect((await call("DELETE", id)).status).toBe(204);
    expect((await call("DELETE", id)).status).toBe(204);
    expect((await call("GET", id)).json).toMatchObject({ tombstoned: true, version: 1, metadata: { a: 1 } });
    const refused = await call("POST", `${id}/messages`, { message: text("user", "two") });
    expect([refused.status, refused.json.error]).toEqual([410, "conversation_tombstoned"]);
    expect(refused.json.message).not.toBe("");
    const event = await server.append(id, eventBody(1));
    expect([event.status, event.json.error]).toEqual([410, "session_closed"]);
    expect(await tailOf(server, id)).toHaveLength(1);
    expect(await messagesOf(`${id}/messages`)).toHaveLength(1);

    const reopened = await call("PUT", id, { metadata: { a: 1 } });
    expect(reopened.json).toMatchObject({ tombstoned: false, version: 1, metadata: { a: 1 } });
    expect((await say(server, id, "two")).json).toMatchObject({ seq: 2 });
    const { json } = await server.call("GET", "/v1/lifecycle?limit=1000");
    const kinds = (json.events as unknown as { kind: string; session_id: string }[])
      .filter(({ session_id: session }) => session === id)
      .map(({ kind }) => kind);
    expect(kinds).toEqual(["session.created", "session.closed", "session.reopened"]);
  });

  test("and its end are there after a restart", async () => {
    await using first = await startServer();
    for (const id of ["closed", "reopened"]) {
      await first.call("PUT", `/v1/conversations/${id}`);
      await say(first, id, "hello");
      await first.call("DELETE", `/v1/conversations/${id}`);
    }
    await first.call("PUT", "/v1/conversations/reopened", { metadata: { n: 2 } });
    await first.close();
    await using second = await startServer({ dataDir: first.dataDir });
    expect((await second.call("GET", conversationPath("closed"))).json).toMatchObject({ tombstoned: true });
    expect((await second.call("GET", conversationPath("reopened"))).json).toMatchObject({
      tombstoned: false,
      metadata: { n: 2 },
      version: 1,
    });
    expect((await say(second, "reopened", "again")).status).toBe(201);
  });
});

describe("a conversation and a session of one id", () => {
  test("are one log, whichever came first", async () => {
    const id = newId();
    await server.create({ id, title: "Kept", metadata: { from: "session" } });
    await server.append(id, eventBody(1));
    expect((await call("GET", id)).json).toMatchObject({ version: 1, metadata: { from: "session" } });
    await say(server, id, "hello");
    expect((await server.allEvents(id)).map(({ type }) => type)).toEqual(["note", "message"]);
    await call("PUT", id, { metadata: { from: "conversation" } });
    expect((await server.call("GET", `/v1/sessions/${id}`)).json).toMatchObject({
      title: "Kept",
      metadata: { from: "conversation" },
      version: 2,
      last_seq: 2,
    });
  });

  test("only well-formed events of type message are its messages", async () => {
    const id = await created();
    const parts = [{ type: "text", text: "8 bytes." }];
    const payloads = [
      { role: "user", parts, metadata: { m: 1 }, token_count: 5 },
      { role: "user", parts },
      { role: "", parts },
      { role: 1, parts },
      { parts },
      { role: "user" },
      { role: "user", parts: [] },
      { role: "user", parts: {} },
      { role: "user", parts: [{ text: "no type" }] },
      { role: "user", parts: ["text"] },
      { role: "user", parts: [null] },
      { role: "user", parts, metadata: [] },
    ];
    for (const [index, payload] of payloads.entries())
      await server.append(id, eventBody(index + 1, { type: "message", payload }));
    await server.append(id, eventBody(20, { type: "message", producer_id: "x", payload: { text: "plain" } }));
    await server.append(id, eventBody(1, { type: "messages", producer_id: "y", payload: payloads[0] }));
    expect((await tailOf(server, id)).map(({ seq, token_count: tokens }) => [seq, tokens])).toEqual([
      [1, 5],
      [2, 2],
    ]);
    expect(await server.allEvents(id)).toHaveLength(payloads.length + 2);
  });
});

describe("bad input", () => {
  const good = text("user", "hello");
  test.each<[string, unknown, string, string]>([
    ["no message", {}, "invalid_message", "message"],
    ["a message that is a text", { message: "hi" }, "invalid_message", "message"],
    ["no role", { message: { parts: good.parts } }, "invalid_message", "message.role"],
    ["an empty role", { message: { ...good, role: "" } }, "invalid_message", "message.role"],
    ["a role with a line end", { message: { ...good, role: "a\nb" } }, "invalid_message", "message.role"],
    ["a role of another kind", { message: { ...good, role: 1 } }, "invalid_message", "message.role"],
    ["no parts", { message: { role: "user" } }, "invalid_message", "message.parts"],
    ["empty parts", { message: { ...good, parts: [] } }, "invalid_message", "message.parts"],
    ["parts that are a text", { message: { ...good, parts: "hi" } }, "invalid_message", "message.parts"],
    [
      "a part without a type",
      { message: { ...good, parts: [good.parts[0], { text: "x" }] } },
      "invalid_message",
      "message.parts[1].type",
    ],
    [
      "a part whose type is a number",
      { message: { ...good, parts: [{ type: 1 }] } },
      "invalid_message",
      "message.parts[0].type",
    ],
    ["a part that is a text", { message: { ...good, parts: ["hi"] } }, "invalid_message", "message.parts[0]"],
    ["metadata in a list", { message: { ...good, metadata: [] } }, "invalid_metadata", "message.metadata"],
    ["metadata null", { message: { ...good, metadata: null } }, "invalid_metadata", "message.metadata"],
    ["if_version as text", { message: good, if_version: "0" }, "invalid_message", "if_version"],
    ["if_version negative", { message: good, if_version: -1 }, "invalid_message", "if_version"],
    ["if_version null", { message: good, if_version: null }, "invalid_message", "if_version"],
    ["if_version broken", { message: good, if_version: 0.5 }, "invalid_message", "if_version"],
    ["no JSON", "{", "invalid_message", ""],
    ["a list", "[]", "invalid_message", ""],
    ["nothing", "", "invalid_message", "message"],
  ])("%s is refused with the field named", async (_what, body, code, field) => {
    const id = await created();
    const { status, json } = await call("POST", `${id}/messages`, body);
    expect([status, json.error]).toEqual([400, code]);
    expect(json.message).toContain(field);
    expect((await call("GET", id)).json.version).toBe(0);
  });

  test("a message has 1 MiB", async () => {
    const id = await created();
    const body = (bytes: number): string => {
      const of = (filler: string): string =>
        `{"message":{"role":"user","parts":[{"type":"text","text":"${filler}"}]}}`;
      return of("x".repeat(bytes - of("").length));
    };
    expect((await call("POST", `${id}/messages`, body(1024 * 1024))).status).toBe(201);
    const over = await call("POST", `${id}/messages`, body(1024 * 1024 + 1));
    expect([over.status, over.json.error]).toEqual([413, "event_too_large"]);
    expect(await tailOf(server, id)).toHaveLength(1);
  });

  test("a conversation's metadata has 64 KiB", async () => {
    const metadata = (bytes: number): string => `{"x":"${"x".repeat(bytes - 8)}"}`;
    expect((await call("PUT", newId(), `{"metadata":${metadata(64 * 1024)}}`)).status).toBe(200);
    expect((await call("PUT", newId(), `{"metadata":${metadata(64 * 1024 + 1)}}`)).json.error).toBe(
      "invalid_metadata",
    );
  });

  test("ids are those of sessions", async () => {
    for (const id of ["%00", "a%2Fb", "x".repeat(257)]) {
      for (const path of ["", "/tail", "/messages"])
        expect((await call("GET", `${id}${path}`)).json.error, id).toBe("invalid_session_id");
      expect((await call("PUT", id)).json.error).toBe("invalid_session_id");
    }
    const id = "id with spaces & ünïcode?#%";
    expect((await call("PUT", encodeURIComponent(id))).json.id).toBe(id);
  });
});

describe("pages", () => {
  test("limit, offset and from out of range are clamped; what is no number is refused", async () => {
    const id = await created();
    for (const word of ["a", "b", "c"]) await say(server, id, word);
    const seqs = async (query: string): Promise<number[]> =>
      (await messagesOf(`${id}/${query}`)).map(({ seq }) => seq);
    expect(await seqs("tail?limit=0")).toEqual([3]);
    expect(await seqs("tail?limit=-5")).toEqual([3]);
    expect(await seqs("tail?limit=99999999999999999999999")).toEqual([1, 2, 3]);
    expect(await seqs("tail?offset=-1")).toEqual([1, 2, 3]);
    expect(await seqs("tail?offset=99999999999999999999999")).toEqual([]);
    expect(await seqs("messages?from=-1&limit=0")).toEqual([1]);
    expect(await seqs("messages?from=99999999999999999999999")).toEqual([]);
    for (const query of ["tail?limit=x", "messages?limit=1.5", "tail?limit=", "tail?limit=1&limit=2"])
      expect((await call("GET", `${id}/${query}`)).json.error, query).toBe("invalid_limit");
    for (const query of ["tail?offset=x", "messages?from=1e3", "messages?from=%ff"])
      expect((await call("GET", `${id}/${query}`)).json.error, query).toBe("invalid_cursor");
  });

  test("of an unknown conversation are empty", async () => {
    expect(await messagesOf("never/tail")).toEqual([]);
    expect(await messagesOf("never/messages")).toEqual([]);
    expect((await call("GET", "never")).status).toBe(404);
  });
});
