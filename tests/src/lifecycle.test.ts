import { rm } from "node:fs/promises";
import { join } from "node:path";
import { eventBody, eventually, newDataDir, within } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { EventStream } from "./support/event-stream.js";
import { PhoenixClient } from "./support/phoenix-client.js";

interface Item {
  readonly kind: string;
  readonly session_id: string;
  readonly tenant_id: string;
  readonly cursor: string;
  readonly title?: string | null;
  readonly metadata?: Record<string, unknown>;
}

interface Page {
  readonly events: readonly Item[];
  readonly next_cursor: string;
}

async function page(api: TokenApi, query = ""): Promise<Page> {
  const { status, json, text } = await api.call("GET", `/v1/lifecycle${query}`);
  if (status !== 200) throw new Error(text);
  return json as unknown as Page;
}

async function all(api: TokenApi, limit = 1_000): Promise<Item[]> {
  const items: Item[] = [];
  for (let cursor = ""; ;) {
    const { events, next_cursor: next } = await page(
      api,
      `?limit=${limit}${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    if (events.length === 0) return items;
    items.push(...events);
    cursor = next;
  }
}

const kinds = (items: readonly Item[]): string[] => items.map(({ kind }) => kind.replace("session.", ""));

/** Creates, changes, archives, shows again. */
async function live(api: TokenApi, id = newId()): Promise<string> {
  await api.create({ id, title: "T", metadata: { a: 1 } });
  await api.call("PATCH", `/v1/sessions/${id}`, { title: "U", metadata: { b: 2 } });
  await api.call("POST", `/v1/sessions/${id}/archive`, {});
  await api.call("POST", `/v1/sessions/${id}/unarchive`, {});
  return id;
}

let auth: AuthServer;
beforeAll(async () => (auth = await AuthServer.start()));
afterAll(() => auth[Symbol.asyncDispose]());

/** A tenant of its own for each test: its feed holds nothing else. */
const tenant = (): Promise<TokenApi> => auth.service(newId("tenant"));

describe("GET /v1/lifecycle", () => {
  test("tells in order what happened to sessions, and nothing of their events", async () => {
    const api = await tenant();
    const id = await live(api);
    await api.append(id, eventBody(1));
    await api.call("DELETE", `/v1/sessions/${id}`);
    const items = await all(api);
    expect(kinds(items)).toEqual(["created", "updated", "archived", "unarchived", "deleted"]);
    for (const item of items)
      expect(item).toMatchObject({ session_id: id, occurred_at: expect.any(String) as string });
  });

  test("created and updated carry title, metadata, version and time; archived says which way", async () => {
    const api = await tenant();
    await live(api);
    const [created, updated, archived, unarchived] = await all(api);
    expect(created).toMatchObject({
      title: "T",
      metadata: { a: 1 },
      version: 1,
      created_at: expect.any(String) as string,
    });
    expect(updated).toMatchObject({
      title: "U",
      metadata: { a: 1, b: 2 },
      version: 2,
      updated_at: expect.any(String) as string,
    });
    expect([archived, unarchived]).toMatchObject([{ archived: true }, { archived: false }]);
  });

  test("goes on after a cursor, page by page, each item once", async () => {
    const api = await tenant();
    await live(api);
    await live(api);
    const whole = await all(api);
    expect(await all(api, 1)).toEqual(whole);
    expect(await all(api, 3)).toEqual(whole);
    for (const [index, { cursor }] of whole.entries())
      expect((await page(api, `?cursor=${cursor}`)).events).toEqual(whole.slice(index + 1));
  });

  test("with nothing new the answer is empty and the cursor stays", async () => {
    const api = await tenant();
    const empty = await page(api);
    expect(empty.events).toEqual([]);
    await live(api);
    expect((await page(api, `?cursor=${empty.next_cursor}`)).events).toHaveLength(4);
    const { next_cursor: end } = await page(api);
    expect(await page(api, `?cursor=${end}`)).toEqual({ events: [], next_cursor: end });
  });

  test.each([
    "",
    "garbage",
    "0",
    "-1",
    "bGlmZWN5Y2xlIDA",
    Buffer.from("lifecycle 1.x").toString("base64url"),
  ])("the cursor %j is 400 invalid_cursor", async (cursor) => {
    const { status, json } = await (await tenant()).call("GET", `/v1/lifecycle?cursor=${cursor}`);
    expect([status, json.error]).toEqual([400, "invalid_cursor"]);
  });

  test.each([
    ["limit=0", "invalid_limit"],
    ["limit=1001", "invalid_limit"],
    ["wait=61", "invalid_request"],
    ["wait=x", "invalid_request"],
  ])("%s is 400 %s", async (query, code) => {
    const { status, json } = await (await tenant()).call("GET", `/v1/lifecycle?${query}`);
    expect([status, json.error]).toEqual([400, code]);
  });

  test("a second archive, a refused create and an append are no news", async () => {
    const api = await tenant();
    const id = await api.create({ id: newId() });
    await api.call("POST", `/v1/sessions/${id}/archive`, {});
    await api.call("POST", `/v1/sessions/${id}/archive`, {});
    await api.call("POST", "/v1/sessions", { id });
    await api.append(id, eventBody(1));
    expect(kinds(await all(api))).toEqual(["created", "archived"]);
  });
});

describe("wait", () => {
  test("holds an empty answer until something happens", async () => {
    const api = await tenant();
    const { next_cursor: cursor } = await page(api);
    const waiting = page(api, `?cursor=${cursor}&wait=30`);
    const id = await api.create({ id: newId() });
    expect((await within("the poll is answered", waiting)).events).toMatchObject([
      { kind: "session.created", session_id: id },
    ]);
  });

  test("answers at once when there is something, and empty when the time is up", async () => {
    const api = await tenant();
    const startedAt = performance.now();
    expect((await page(api, "?wait=1")).events).toEqual([]);
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    await api.create({});
    expect((await within("it answers", page(api, "?wait=30"), 2_000)).events).toHaveLength(1);
  });

  test("ends with the server", async () => {
    const server = await AuthServer.start();
    const waiting = page(await server.service(), "?wait=30");
    await new Promise((resolve) => setTimeout(resolve, 100));
    await server[Symbol.asyncDispose]();
    expect((await within("the poll is answered", waiting, 3_000)).events).toEqual([]);
  });
});

describe("as server-sent events", () => {
  test("replays and follows; Last-Event-ID goes on after an item and wins over cursor", async () => {
    const api = await tenant();
    await live(api);
    const headers = { authorization: `Bearer ${api.token}` };
    using stream = await EventStream.open(`${auth.url}/v1/lifecycle`, headers);
    await stream.received(4);
    const id = await api.create({ id: newId(), metadata: { text: "a\nb" } });
    await stream.received(5);
    const items = stream.messages.map(({ data }) => JSON.parse(data) as Item);
    expect(items).toEqual(await all(api));
    expect(items.at(-1)?.session_id).toBe(id);
    expect(stream.messages.map((message) => message.id)).toEqual(items.map(({ cursor }) => cursor));
    const [first, second] = items;
    using resumed = await EventStream.open(`${auth.url}/v1/lifecycle?cursor=${first?.cursor ?? ""}`, {
      ...headers,
      "last-event-id": second?.cursor ?? "",
    });
    await resumed.received(3);
    expect(resumed.messages.map(({ data }) => JSON.parse(data) as Item)).toEqual(items.slice(2));
  });

  test("metadata with line ends between its tokens stays one item", async () => {
    const api = await tenant();
    await api.call("POST", "/v1/sessions", '{"metadata":{\n"a":\r\n1\r}}');
    using stream = await EventStream.open(`${auth.url}/v1/lifecycle`, {
      authorization: `Bearer ${api.token}`,
    });
    await stream.received(1);
    expect(JSON.parse(stream.messages[0]?.data ?? "")).toMatchObject({ metadata: { a: 1 } });
  });

  test("the token may stand in the query, as an EventSource needs it", async () => {
    const api = await tenant();
    await api.create({});
    using stream = await EventStream.open(`${auth.url}/v1/lifecycle?access_token=${api.token}`);
    await stream.received(1);
  });
});

test("a hundred changes made at once are told by channel, stream and page alike, in one order", async () => {
  const api = await tenant();
  using stream = await EventStream.open(`${auth.url}/v1/lifecycle`, { authorization: `Bearer ${api.token}` });
  using client = new PhoenixClient(auth.url, { token: api.token });
  const channel = await client.join("lifecycle");
  await Promise.all(Array.from({ length: 100 }, () => api.create({})));
  await stream.received(100);
  await eventually("the channel has all", () => channel.lifecycle.length === 200);
  const paged = (await all(api)).map((item) => item.session_id);
  expect(stream.messages.map(({ data }) => (JSON.parse(data) as Item).session_id)).toEqual(paged);
  const pushed = channel.lifecycle.filter(({ kind }) => kind === "session.created");
  expect(pushed.map((item) => item["session_id"])).toEqual(paged);
  // Each session is active just before it is created.
  for (const [index, { kind, session_id: id }] of channel.lifecycle.entries()) {
    if (kind !== "session.created") continue;
    expect(channel.lifecycle[index - 1]).toMatchObject({ kind: "session.activated", session_id: id });
  }
});

test("only services may follow it, not tied to a session, and tenants are sealed", async () => {
  const [ours, theirs] = [await tenant(), await tenant()];
  await live(ours);
  expect(await all(theirs)).toEqual([]);
  // A cursor of one tenant shows another tenant nothing.
  const { next_cursor: cursor } = await page(ours);
  expect((await page(theirs, `?cursor=${cursor}`)).events).toEqual([]);
  const refusals = [];
  for (const claims of [
    { sub: "user:u" },
    { sub: "agent:a" },
    { session_id: "s" },
    { scope: "session:append" },
  ]) {
    const { status, json } = await auth.as(await auth.token(claims)).call("GET", "/v1/lifecycle");
    refusals.push([status, json.error]);
  }
  expect(refusals).toEqual([
    [403, "forbidden"],
    [403, "forbidden"],
    [403, "forbidden_session"],
    [403, "forbidden_scope"],
  ]);
});

describe("on disk", () => {
  test("cursors outlive a restart and a rebuild of the views; erasure leaves only what happened, to which", async () => {
    const dataDir = await newDataDir();
    const first = await AuthServer.start({}, { dataDir, store: "embedded" });
    const token = (await first.key()).key;
    const [kept, erased] = [await live(first.as(token)), await live(first.as(token))];
    const before = await all(first.as(token));
    await first[Symbol.asyncDispose]();

    await rm(join(dataDir, "views"), { recursive: true, force: true });
    const second = await AuthServer.start({}, { dataDir, store: "embedded" });
    const api = second.as(token);
    expect(await all(api)).toEqual(before);
    for (const [index, { cursor }] of before.entries())
      expect((await page(api, `?cursor=${cursor}&limit=1`)).events).toEqual(
        before.slice(index + 1, index + 2),
      );

    await api.call("DELETE", `/v1/sessions/${erased}`);
    const after = await all(api);
    expect(kinds(after)).toEqual([...kinds(before), "deleted"]);
    const ofErased = after.filter(({ session_id: id }) => id === erased);
    expect(ofErased.map((item) => Object.keys(item))).toEqual(
      ofErased.map(({ kind }) => [
        ...["kind", "session_id", "tenant_id"],
        ...(kind.endsWith("archived") ? ["archived"] : []),
        ...["occurred_at", "cursor"],
      ]),
    );
    expect(after.filter(({ session_id: id }) => id === kept)).toEqual(
      before.filter(({ session_id: id }) => id === kept),
    );
    await second[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  });
});
