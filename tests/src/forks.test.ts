import { rm } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS } from "@daybook/protocol";
import { type CallAnswer, eventBody, newDataDir, startServer, type TestServer } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuthServer, newId } from "./support/auth-server.js";
import { EventStream } from "./support/event-stream.js";
import { openTail } from "./support/tail-socket.js";

let server: TestServer;
beforeAll(async () => (server = await startServer()));
afterAll(() => server[Symbol.asyncDispose]());

const fork = (id: string, body?: unknown): Promise<CallAnswer> =>
  server.call("POST", `/v1/sessions/${id}/fork`, body);

async function forked(id: string, body: Record<string, unknown> = {}): Promise<string> {
  const { status, json, text } = await fork(id, { id: newId("fork"), ...body });
  if (status !== 201) throw new Error(text);
  return json.id;
}

/** A session with this many events. */
async function filled(count: number): Promise<string> {
  const id = await server.create({ id: newId() });
  await server.fill(id, { to: count });
  return id;
}

const state = (set: Record<string, unknown>, condition: Record<string, number> = {}) => ({
  state: { set, if: condition },
});

const get = async (path: string): Promise<CallAnswer> => server.call("GET", `/v1/sessions/${path}`);

describe("a fork", () => {
  test("is answered with its record, which says where it comes from", async () => {
    const parent = await filled(5);
    await server.call("PATCH", `/v1/sessions/${parent}`, { title: "parent", metadata: { a: 1 } });
    const { status, json } = await fork(parent, { at_seq: 3, title: "What if", metadata: { b: 2 } });
    expect(status).toBe(201);
    expect(json).toMatchObject({
      title: "What if",
      metadata: { b: 2 },
      last_seq: 3,
      archived: false,
      version: 1,
      forked_from: { session_id: parent, seq: 3 },
    });
    expect(json.id).toMatch(/^ses_/);
    expect((await get(json.id)).json).toEqual(json);
    expect((await get(parent)).json).not.toHaveProperty("forked_from");
    // All there is, without a word.
    expect((await fork(parent)).json).toMatchObject({ last_seq: 5, title: null, metadata: {} });
  });

  test("gives its parent's events out with their exact text, and goes on by itself", async () => {
    const parent = await server.create({ id: newId() });
    const payload = '{ "b":1.0, "a" : 9007199254740993, "u":"\\u00e9é" }';
    await server.append(parent, `{"type":"t","payload":${payload},"producer_id":"p","producer_seq":7}`);
    await server.fill(parent, { to: 20 });
    const id = await forked(parent, { at_seq: 10 });
    // A producer begins anew: the same pair is another event here.
    expect((await server.append(id, eventBody(20, { actor: "agent:b" }))).json).toMatchObject({
      seq: 11,
      deduped: false,
    });
    await server.append(parent, eventBody(21));
    const inherited = (await get(`${parent}/events?limit=10`)).text;
    expect((await get(`${id}/events?limit=10`)).text).toBe(
      inherited.replace('"last_seq":22', '"last_seq":11'),
    );
    expect(inherited).toContain(payload);
    const all = await server.allEvents(id);
    expect(all.map(({ seq }) => seq)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
    expect(all.at(-1)).toMatchObject({ actor: "agent:b", seq: 11, cursor: 11 });
    expect((await get(`${id}/events?before=12&limit=4`)).json.events.map(({ seq }) => seq)).toEqual([
      8, 9, 10, 11,
    ]);
    expect((await get(`${id}/events?cursor=12`)).json).toMatchObject({ error: "invalid_cursor" });
  });

  test("is followed like any session: replay over the seam, then live", async () => {
    const parent = await filled(30);
    const id = await forked(parent, { at_seq: 20 });
    await server.append(id, eventBody(1));
    using tail = await openTail(server.url, id, "?cursor=15&batch_size=100");
    using stream = await EventStream.open(`${server.url}/v1/sessions/${id}/tail?cursor=15`);
    const poll = get(`${id}/events?cursor=21&wait=30`);
    await tail.reached(21);
    await server.append(parent, eventBody(31));
    await server.append(id, eventBody(2));
    await tail.reached(22);
    const seqs = [16, 17, 18, 19, 20, 21, 22];
    expect(tail.seqs).toEqual(seqs);
    await expect.poll(() => stream.seqs, { interval: 5 }).toEqual(seqs);
    expect((await poll).json.events.map(({ seq }) => seq)).toEqual([22]);
  });

  test("has the state of its parent as of its seq, and conditions hold against it", async () => {
    const parent = await server.create({ id: newId() });
    await server.append(parent, eventBody(1, state({ plan: "a", "memory/1": 1 })));
    await server.append(parent, eventBody(2, state({ plan: "b" })));
    await server.append(parent, eventBody(3, state({ plan: "c", late: true })));
    const id = await forked(parent, { at_seq: 2 });
    const stale = await server.append(id, eventBody(1, state({ plan: "x" }, { plan: 3 })));
    expect(stale.json).toMatchObject({ error: "state_conflict", current_version: 2, current_seq: 2 });
    const late = await server.append(id, eventBody(1, { expected_seq: 3 }));
    expect(late.json).toMatchObject({ error: "expected_seq_conflict", current_seq: 2 });
    const own = eventBody(1, { expected_seq: 2, ...state({ plan: "own" }, { plan: 2, late: 0 }) });
    expect((await server.append(id, own)).json.seq).toBe(3);
    const plan = { key: "plan", deleted: false };
    expect((await get(`${id}/state`)).json).toMatchObject({
      at_seq: 3,
      state: [{ key: "memory/1" }, { ...plan, version: 3, seq: 3, value: "own" }],
    });
    expect((await get(`${id}/state?at=2`)).text).toBe((await get(`${parent}/state?at=2`)).text);
    expect((await get(`${id}/state/plan?at=1`)).json).toMatchObject({ ...plan, version: 1, value: "a" });
    expect((await get(`${id}/state/plan?version=2`)).json).toMatchObject({ seq: 2, value: "b" });
    const history = (await get(`${id}/state/plan/history`)).json as unknown as { versions: object[] };
    expect(history.versions).toMatchObject([{ value: "a" }, { value: "b" }, { version: 3, value: "own" }]);
    expect((await get(`${id}/state-diff?from=1&to=3`)).json).toMatchObject({
      added: [],
      changed: [{ key: "plan", before: { value: "a" }, after: { value: "own" } }],
      removed: [],
    });
    const { inserted_at: time } = (await server.allEvents(id))[1] ?? { inserted_at: "" };
    const asOf = await get(`${id}/state/plan?at=${time}`);
    expect(["b", "own"]).toContain((asOf.json as unknown as { value: string }).value);
  });

  test("can be made of a closed or an archived session, and is neither", async () => {
    const [archived, closed] = [await filled(2), await filled(2)];
    await server.call("POST", `/v1/sessions/${archived}/archive`, {});
    // A conversation that was put away takes no more events.
    await server.call("DELETE", `/v1/conversations/${closed}`);
    expect((await server.append(closed, eventBody(3))).json.error).toBe("session_closed");
    for (const parent of [archived, closed]) {
      const id = await forked(parent);
      expect((await get(id)).json).toMatchObject({ archived: false, last_seq: 2 });
      expect((await server.append(id, eventBody(1))).status).toBe(201);
    }
  });

  test("is listed by its parent, with all other filters", async () => {
    const parent = await filled(1);
    const plain = await forked(parent, { id: `${parent}-a`, metadata: { k: "v" } });
    const archived = await forked(parent, { id: `${parent}-b` });
    await server.call("POST", `/v1/sessions/${archived}/archive`, {});
    await forked(plain, { id: `${parent}-c` });
    const ids = async (query: string): Promise<string[]> =>
      (await server.call("GET", `/v1/sessions?forked_from=${parent}${query}`)).json.sessions.map(
        ({ id }) => id,
      );
    expect(await ids("")).toEqual([plain]);
    expect(await ids("&archived=all&sort=created&order=desc")).toEqual([archived, plain]);
    expect(await ids("&metadata.k=v")).toEqual([plain]);
    expect(await ids("&metadata.k=w")).toEqual([]);
    for (const bad of ["", "a/b", "..", "a&forked_from=b"]) {
      const { status, json } = await server.call("GET", `/v1/sessions?forked_from=${bad}`);
      expect([status, json.error]).toEqual([400, "invalid_list_query"]);
    }
  });

  test("is imported from its export as a session of its own", async () => {
    const parent = await filled(3);
    const id = await forked(parent, { at_seq: 2 });
    await server.append(id, eventBody(1));
    const copy = newId("copy");
    const record = (await get(id)).text;
    const { text } = await get(`${id}/events`);
    const events = text.slice('{"events":'.length, text.indexOf(',"next_cursor"'));
    for (const body of [`{"session":${record}}`, `{"events":${events}}`])
      expect((await server.call("POST", `/v1/sessions/${copy}/import`, body)).status).toBe(200);
    expect((await get(`${copy}/events`)).text).toBe(text);
    expect((await get(copy)).json).not.toHaveProperty("forked_from");
    // Nothing ties it to the first one's parent.
    for (const gone of [id, parent])
      expect((await server.call("DELETE", `/v1/sessions/${gone}`)).status).toBe(204);
    expect((await get(`${copy}/events`)).text).toBe(text);
  });
});

describe("a fork is refused", () => {
  test.each([
    [{ at_seq: 3 }, "invalid_cursor"],
    [{ at_seq: -1 }, "invalid_cursor"],
    [{ at_seq: 1.5 }, "invalid_cursor"],
    [{ at_seq: "1" }, "invalid_cursor"],
    [{ at_seq: null }, "invalid_cursor"],
    [{ at_seq: 2 ** 53 }, "invalid_cursor"],
    [{ id: "a/b" }, "invalid_session_id"],
    [{ id: "" }, "invalid_session_id"],
    [{ title: 1 }, "invalid_session"],
    [{ title: "x".repeat(LIMITS.titleBytesMax + 1) }, "invalid_session"],
    [{ metadata: [] }, "invalid_metadata"],
    ["[]", "invalid_session"],
    ['{"at_seq":1,"at_seq":2}', "invalid_cursor"],
    ["{", "invalid_session"],
  ])("%j: %s", async (body, code) => {
    const parent = await filled(2);
    const { status, json } = await fork(parent, body);
    expect([status, json.error]).toEqual([400, code]);
    expect((await server.call("DELETE", `/v1/sessions/${parent}`)).status).toBe(204);
  });

  test("behind the end, with what the end is", async () => {
    const parent = await filled(2);
    expect((await fork(parent, { at_seq: 3 })).json).toMatchObject({ last_seq: 2 });
    expect((await fork(parent, { at_seq: 2 })).status).toBe(201);
    expect((await fork(parent, { at_seq: 0 })).json.last_seq).toBe(0);
  });

  test("of a session that is not there, or not any more", async () => {
    const parent = await filled(1);
    await server.call("DELETE", `/v1/sessions/${parent}`);
    for (const id of [parent, newId()])
      expect([(await fork(id)).status, (await fork(id)).json.error]).toEqual([404, "session_not_found"]);
  });

  test("under an id that is taken, or was", async () => {
    const [parent, other, deleted] = [await filled(1), await filled(1), await filled(1)];
    await server.call("DELETE", `/v1/sessions/${deleted}`);
    const codes = await Promise.all(
      [parent, other, deleted].map(async (id) => (await fork(parent, { id })).json.error),
    );
    expect(codes).toEqual(["session_exists", "session_exists", "session_deleted"]);
  });

  test(`more than ${LIMITS.forkDepthMax} deep`, async () => {
    let id = await filled(3);
    for (let depth = 1; depth <= LIMITS.forkDepthMax; depth++) {
      id = await forked(id);
      await server.append(id, eventBody(depth));
    }
    const { status, json } = await fork(id);
    expect([status, json.error]).toEqual([409, "fork_too_deep"]);
    // The deepest reads through all of them.
    expect(await server.allEvents(id)).toHaveLength(3 + LIMITS.forkDepthMax);
  });
});

describe("deleting a session that has forks", () => {
  test("is refused with their count, until they are gone", async () => {
    const parent = await filled(5);
    const forks = [await forked(parent, { at_seq: 2 }), await forked(parent)];
    const refused = await server.call("DELETE", `/v1/sessions/${parent}`);
    expect(refused.status).toBe(409);
    expect(refused.json).toMatchObject({ error: "session_has_forks", forks: 2 });
    expect(await server.allEvents(parent)).toHaveLength(5);
    for (const id of forks) {
      expect((await server.call("DELETE", `/v1/sessions/${id}?cascade=false`)).status).toBe(204);
      expect((await get(id)).status).toBe(404);
      expect(await server.allEvents(parent)).toHaveLength(5);
    }
    expect((await server.call("DELETE", `/v1/sessions/${parent}`)).status).toBe(204);
  });

  test("with cascade erases them and theirs, archived ones too, and nobody else's", async () => {
    const parent = await filled(5);
    const middle = await forked(parent, { at_seq: 4 });
    const ids = [parent, middle];
    for (let index = 0; index < 105; index++) ids.push(await forked(middle, { at_seq: 2 }));
    ids.push(await forked(ids[7] ?? ""), await forked(ids[8] ?? ""));
    await server.call("POST", `/v1/sessions/${ids[9] ?? ""}/archive`, {});
    const other = await filled(2);
    const sibling = await forked(other);
    const answers = await Promise.all([
      server.call("DELETE", `/v1/sessions/${middle}?cascade=true`),
      server.call("DELETE", `/v1/sessions/${parent}?cascade=true`),
    ]);
    // Whoever came second found the middle one gone, or did it himself.
    expect([204, 404]).toContain(answers[0].status);
    expect(answers[1].status).toBe(204);
    for (const id of ids) expect((await get(id)).status).toBe(404);
    expect(await server.allEvents(sibling)).toHaveLength(2);
    expect((await fork(other, { id: middle })).json.error).toBe("session_deleted");
  });

  test("ends their tails", async () => {
    const parent = await filled(2);
    const id = await forked(parent);
    using tail = await openTail(server.url, id, "?cursor=2");
    await server.call("DELETE", `/v1/sessions/${parent}?cascade=true`);
    expect((await tail.closed).code).toBe(4004);
  });

  test("takes cascade as true or false and nothing else", async () => {
    const parent = await filled(1);
    for (const cascade of ["", "yes", "1", "true&cascade=true"]) {
      const { status, json } = await server.call("DELETE", `/v1/sessions/${parent}?cascade=${cascade}`);
      expect([status, json.error]).toEqual([400, "invalid_request"]);
    }
    const { status, json } = await server.call("DELETE", `/v1/sessions/${newId()}?cascade=true`);
    expect([status, json.error]).toEqual([404, "session_not_found"]);
  });
});

test("forks, their state and their order in lists are the same when the views are made anew", async () => {
  const dataDir = await newDataDir();
  let own = await startServer({ dataDir });
  await own.create({ id: "p" });
  for (let seq = 1; seq <= 6; seq++)
    await own.append("p", eventBody(seq, state({ k: seq, [`k${seq}`]: seq })));
  await own.call("POST", "/v1/sessions/p/fork", { id: "f", at_seq: 4 });
  await own.append("f", eventBody(1, state({ k: "f" }, { k: 4 })));
  await own.call("POST", "/v1/sessions/f/fork", { id: "g", at_seq: 2 });
  await own.append("g", eventBody(1, { state: { delete: ["k1"], set: { k: "g" } } }));
  const answers = async (): Promise<string[]> => {
    const paths = ["p", "f", "g"].flatMap((id) =>
      ["", "/events", "/state", "/state?at=2", "/state/k?at=1", "/state/k/history"].map((rest) => id + rest),
    );
    paths.push("?forked_from=p", "?forked_from=f");
    return Promise.all(
      paths.map(async (path) => {
        const url = path.startsWith("?") ? `/v1/sessions${path}` : `/v1/sessions/${path}`;
        return (await own.call("GET", url)).text;
      }),
    );
  };
  const before = await answers();
  await own.close();
  own = await startServer({ dataDir });
  expect(await answers()).toEqual(before);
  await own.close();
  await rm(join(dataDir, "views"), { recursive: true });
  own = await startServer({ dataDir });
  expect(await answers()).toEqual(before);
  await own.close();
  await rm(dataDir, { recursive: true });
});

describe("with tokens", () => {
  test("a fork needs to create and to read; a token for one session may not, nor cascade over others", async () => {
    await using auth = await AuthServer.start();
    const service = await auth.service();
    const parent = await service.create({ id: newId() });
    await service.fill(parent, { to: 2 });
    const outcome = async (claims: Record<string, unknown>, id = newId()): Promise<string> => {
      const api = auth.as(await auth.token(claims));
      const { status, json } = await api.call("POST", `/v1/sessions/${parent}/fork`, { id });
      return status === 201 ? "ok" : json.error;
    };
    expect(await outcome({})).toBe("ok");
    expect(await outcome({ sub: "agent:a", scope: "session:create session:read" })).toBe("ok");
    expect(await outcome({ scope: "session:create session:append" })).toBe("forbidden_scope");
    expect(await outcome({ scope: "session:read session:append" })).toBe("forbidden_scope");
    expect(await outcome({ session_id: parent })).toBe("forbidden_session");
    const own = newId();
    expect(await outcome({ session_id: own }, own)).toBe("forbidden_session");
    // Another tenant has no such session, and learns nothing of this one.
    expect(await outcome({ tenant_id: "other" })).toBe("session_not_found");
    const stranger = auth.as(await auth.token({ tenant_id: "other" }));
    expect((await stranger.call("GET", `/v1/sessions?forked_from=${parent}`)).json.sessions).toEqual([]);

    const locked = auth.as(await auth.token({ session_id: parent }));
    const cascade = await locked.call("DELETE", `/v1/sessions/${parent}?cascade=true`);
    expect([cascade.status, cascade.json.error]).toEqual([403, "forbidden_session"]);
    expect((await locked.call("DELETE", `/v1/sessions/${parent}`)).json.error).toBe("session_has_forks");
    const child =
      (await service.call("GET", `/v1/sessions?forked_from=${parent}`)).json.sessions[0]?.id ?? "";
    const reader = auth.as(await auth.token({ session_id: child }));
    // It reads what its session shares, and sees no other in lists.
    expect((await reader.events(child)).json.events).toHaveLength(2);
    for (const [from, count] of [
      [parent, 1],
      [child, 0],
    ] as const) {
      const { sessions } = (await reader.call("GET", `/v1/sessions?forked_from=${from}`)).json;
      expect(sessions).toHaveLength(count);
    }
  });

  test("the lifecycle feed tells of it", async () => {
    await using auth = await AuthServer.start();
    const service = await auth.service();
    await service.create({ id: "p" });
    await service.fill("p", { to: 3 });
    await service.call("POST", "/v1/sessions/p/fork", { id: "f", at_seq: 2, title: "F" });
    const feed = (await service.call("GET", "/v1/lifecycle")).json.events;
    expect(feed).toMatchObject([
      { kind: "session.created", session_id: "p" },
      { kind: "session.forked", session_id: "p", fork: { session_id: "f", seq: 2 } },
      { kind: "session.created", session_id: "f", title: "F", forked_from: { session_id: "p", seq: 2 } },
    ]);
    await service.call("DELETE", "/v1/sessions/p?cascade=true");
    const blanked = (await service.call("GET", "/v1/lifecycle")).json.events as unknown as { kind: string }[];
    expect(blanked.map(({ kind }) => kind)).toEqual([
      "session.created",
      "session.forked",
      "session.created",
      "session.deleted",
      "session.deleted",
    ]);
    expect(JSON.stringify(blanked)).not.toContain('"title"');
  });
});
