import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventBody, startServer, type TestServer } from "@daybook/test-kit";

/** The way back in of what `events` and `get` gave: with its seqs, actors, producers, times and exact texts. */
describe("import", () => {
  let server: TestServer;
  let source: string;
  let record: string;
  let events: string[];
  let copies = 0;
  let copy: string;

  beforeAll(async () => {
    server = await startServer();
    source = await server.create({ title: "Kept", metadata: { a: 1.5 } });
    const payload = String.raw`{"z":1,"a":9007199254740993,"t":"\u00e9 é","__proto__":[ 1 ]}`;
    await server.append(source, `{"type":"t","payload":${payload},"producer_id":"p","producer_seq":7}`);
    await server.fill(source, { to: 20, more: { actor: "agent:x", source: "web", refs: { step: 1 } } });
    await server.call("PATCH", `/v1/sessions/${source}`, { metadata: { b: 2 } });
    record = (await server.call("GET", `/v1/sessions/${source}`)).text;
    const { text } = await server.events(source, "?limit=1000");
    events = (/^\{"events":\[(.*)\],"next_cursor"/s.exec(text)?.[1] ?? "").split(
      /(?<=\}),(?=\{"tenant_id":)/,
    );
    expect(events).toHaveLength(21);
  });
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(() => (copy = `copy-${++copies}`));

  const send = (body: string) => server.call("POST", `/v1/sessions/${copy}/import`, body);
  const sendSession = async (): Promise<void> => {
    expect((await send(`{"session":${record}}`)).status).toBe(200);
  };
  const sendEvents = (from: number, to: number) => send(`{"events":[${events.slice(from, to).join(",")}]}`);

  test("a round trip is exact: record, events, retries and all", async () => {
    await sendSession();
    expect((await sendEvents(0, 10)).json.last_seq).toBe(10);
    expect((await sendEvents(10, 21)).json.last_seq).toBe(21);
    const looked = await server.call("GET", `/v1/sessions/${copy}`);
    expect(looked.text).toBe(record.replace(`"id":"${source}"`, `"id":"${copy}"`));
    const { text } = await server.events(copy, "?limit=1000");
    expect(text).toBe((await server.events(source, "?limit=1000")).text);
    const retried = await server.append(
      copy,
      eventBody(20, { actor: "agent:x", source: "web", refs: { step: 1 } }),
    );
    expect(retried.json).toMatchObject({ seq: 21, deduped: true });
    expect((await server.append(copy, eventBody(21))).json).toMatchObject({ seq: 22, deduped: false });
  });

  test("a conversation comes with its messages and its idempotency keys", async () => {
    const from = `/v1/conversations/${copy}-from`;
    await server.call("PUT", from, { metadata: { a: 1 } });
    const message = { role: "user", parts: [{ type: "text", text: "Hello!" }] };
    const say = (path: string, key: string) =>
      server.call("POST", `${path}/messages`, { message }, { headers: { "idempotency-key": key } });
    for (const key of ["one", "two"]) await say(from, key);
    const exported = (await server.call("GET", `/v1/sessions/${copy}-from`)).text;
    const { json } = await server.events(`${copy}-from`);
    await send(`{"session":${exported.replace(`${copy}-from`, copy)}}`);
    expect((await send(JSON.stringify({ events: json.events }))).json.last_seq).toBe(2);
    const to = `/v1/conversations/${copy}`;
    const pages = [await server.call("GET", `${from}/tail`), await server.call("GET", `${to}/tail`)];
    expect(pages[1]?.text).toBe(pages[0]?.text);
    expect((await say(to, "one")).json).toMatchObject({ seq: 1, version: 2 });
    expect((await say(to, "three")).json).toMatchObject({ seq: 3 });
  });

  test("what is there already is passed over, so that it can be sent again", async () => {
    await sendSession();
    await sendEvents(0, 12);
    expect((await sendEvents(0, 15)).json.last_seq).toBe(15);
    expect((await sendEvents(10, 21)).json.last_seq).toBe(21);
    expect((await server.events(copy, "?limit=1000")).json.events).toHaveLength(21);
  });

  test("history is not changed, and no gap is left", async () => {
    await sendSession();
    await sendEvents(0, 5);
    const altered = await send(`{"events":[${events[2]?.replace('"type":"note"', '"type":"lie"') ?? ""}]}`);
    expect([altered.status, altered.json.error, altered.json.current_seq]).toEqual([
      409,
      "expected_seq_conflict",
      5,
    ]);
    const gap = await sendEvents(7, 9);
    expect([gap.status, gap.json.error]).toEqual([409, "expected_seq_conflict"]);
    expect((await server.call("GET", `/v1/sessions/${copy}`)).json.last_seq).toBe(5);
  });

  test("a session that exists, or is not there, is said", async () => {
    expect((await sendEvents(0, 1)).json.error).toBe("session_not_found");
    await sendSession();
    expect((await send(`{"session":${record}}`)).json.error).toBe("session_exists");
  });

  test.each([
    ["type", '""', "invalid_event"],
    ["type", '"a\\u0000"', "invalid_event"],
    ["type", "null", "invalid_event"],
    ["actor", '""', "invalid_event"],
    ["actor", `"${"x".repeat(257)}"`, "invalid_event"],
    ["producer_id", `"${"x".repeat(257)}"`, "invalid_event"],
    ["producer_seq", "0", "invalid_event"],
    ["producer_seq", '"1"', "invalid_event"],
    ["seq", "0", "invalid_event"],
    ["seq", "1.5", "invalid_event"],
    ["inserted_at", '"yesterday"', "invalid_event"],
    ["inserted_at", '"2026-02-30T00:00:00.000Z"', "invalid_event"],
    ["inserted_at", '"2026-01-01T00:00:00+01:00"', "invalid_event"],
    ["payload", "[]", "invalid_event"],
    ["metadata", "null", "invalid_event"],
    ["refs", '{"step":-1}', "invalid_refs"],
    ["idempotency_key", "1", "invalid_event"],
  ])("an event whose %s is %s is refused, with its index", async (member, value, code) => {
    await sendSession();
    const event = JSON.stringify({ ...(JSON.parse(events[0] ?? "") as object), [member]: "@" }).replace(
      '"@"',
      value,
    );
    const { status, json } = await send(`{"events":[${event}]}`);
    expect([status, json.error, json.index]).toEqual([400, code, 0]);
    expect((await server.call("GET", `/v1/sessions/${copy}`)).json.last_seq).toBe(0);
  });

  test.each([
    ["title", `"${"x".repeat(1_025)}"`, "invalid_session"],
    ["title", "1", "invalid_session"],
    ["metadata", "[]", "invalid_session"],
    ["metadata", `{"a":"${"x".repeat(65_536)}"}`, "invalid_metadata"],
    ["version", "0", "invalid_session"],
    ["created_at", '"now"', "invalid_session"],
    ["updated_at", '"2026-01-01T00:00:00Z"', "invalid_session"],
    ["creator_principal", '{"tenant_id":"t","id":"","type":"user"}', "invalid_session"],
  ])("a record whose %s is %s is refused", async (member, value, code) => {
    const session = JSON.stringify({ ...(JSON.parse(record) as object), [member]: "@" }).replace(
      '"@"',
      value,
    );
    const { status, json } = await send(`{"session":${session}}`);
    expect([status, json.error]).toEqual([400, code]);
    expect((await server.call("GET", `/v1/sessions/${copy}`)).status).toBe(404);
  });
});
