import { eventBody, eventually, newDataDir } from "@daybook/test-kit";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { EventStream } from "./support/event-stream.js";
import { PhoenixClient, type Subscription } from "./support/phoenix-client.js";
import { openTail } from "./support/tail-socket.js";

const ACTIVITY = ["hydrating", "activated", "freezing", "frozen"].map((kind) => `session.${kind}`);

let dataDir: string;
beforeAll(async () => (dataDir = await newDataDir()));
afterAll(() => rm(dataDir, { recursive: true, force: true }));

/** Kinds of what was told of a session, without what belongs to facts. */
const toldOf = (feed: Subscription, id: string): unknown[] =>
  feed.lifecycle.filter((item) => item["session_id"] === id).map(({ kind }) => kind);

async function durableKinds(api: TokenApi): Promise<unknown[]> {
  const { json } = await api.call("GET", "/v1/lifecycle?limit=1000");
  return (json["events"] as unknown as { kind: string }[]).map(({ kind }) => kind);
}

describe("which sessions are in use is told on the lifecycle channel", () => {
  test("idle: freezing, frozen; used again: hydrating, activated; and none of it is kept", async () => {
    await using auth = await AuthServer.start({ idleSeconds: 1 });
    const [api, others] = [await auth.service(), await auth.service("other")];
    using client = new PhoenixClient(auth.url, { token: api.token });
    using theirs = new PhoenixClient(auth.url, { token: others.token });
    const [feed, theirFeed] = [await client.join("lifecycle"), await theirs.join("lifecycle")];
    const id = await api.create({ id: newId() });
    await api.append(id, eventBody(1));
    const told = ["session.activated", "session.created", "session.freezing", "session.frozen"];
    await eventually("it is frozen", () => toldOf(feed, id).length === 4);
    expect(toldOf(feed, id)).toEqual(told);
    await api.append(id, eventBody(2));
    await eventually("it is active", () => toldOf(feed, id).length >= 6);
    expect(toldOf(feed, id).slice(4, 6)).toEqual(["session.hydrating", "session.activated"]);
    for (const item of feed.lifecycle.filter(({ kind }) => ACTIVITY.includes(String(kind))))
      expect(item).toEqual({ kind: item["kind"], session_id: id, tenant_id: "acme" });
    expect(await durableKinds(api)).toEqual(["session.created"]);
    expect(theirFeed.lifecycle).toEqual([]);
  });

  test("a deleted session is not frozen", async () => {
    await using auth = await AuthServer.start({ idleSeconds: 1 });
    const api = await auth.service();
    using client = new PhoenixClient(auth.url, { token: api.token });
    const feed = await client.join("lifecycle");
    const [id, later] = [await api.create({ id: newId() }), newId()];
    await api.call("DELETE", `/v1/sessions/${id}`);
    await api.create({ id: later });
    await eventually("what came later is frozen", () => toldOf(feed, later).length === 4);
    expect(toldOf(feed, id)).toEqual(["session.activated", "session.created", "session.deleted"]);
  });

  test("after a start each kind of use activates a session, once, and looking at records does not", async () => {
    const ids = Array.from({ length: 8 }, () => newId());
    const first = await AuthServer.start({}, { dataDir, store: "embedded" });
    const { key } = await first.key();
    for (const id of ids) {
      await first.as(key).create({ id });
      await first.as(key).append(id, eventBody(1));
    }
    await first[Symbol.asyncDispose]();

    await using auth = await AuthServer.start({}, { dataDir, store: "embedded" });
    const api = auth.as(key);
    using client = new PhoenixClient(auth.url, { token: key });
    const feed = await client.join("lifecycle");
    const headers = { authorization: `Bearer ${key}` };
    const [appended, read, streamed, tailed, joined, talked, pushed, untouched] = ids as [
      ...[string, string, string, string],
      ...[string, string, string, string],
    ];
    await api.append(appended, eventBody(2));
    await api.call("GET", `/v1/sessions/${read}/events`);
    using _stream = await EventStream.open(`${auth.url}/v1/sessions/${streamed}/tail`, {
      ...headers,
      accept: "text/event-stream",
    });
    using _tail = await openTail(auth.url, tailed, "", { headers });
    await client.join(`tail:${joined}`);
    await client.join(`conversation:${talked}`);
    await (await client.join(`tail:${pushed}`)).push("append", { event: eventBody(2) });
    await api.call("GET", `/v1/sessions/${untouched}`);
    await api.call("GET", "/v1/sessions");
    await api.call("GET", `/v1/sessions/${newId()}/events`);
    await api.append(appended, eventBody(3));
    const used = ids.slice(0, -1);
    await eventually("all are active", () => feed.lifecycle.length >= used.length * 2);
    for (const id of used) expect(toldOf(feed, id)).toEqual(["session.hydrating", "session.activated"]);
    expect(feed.lifecycle).toHaveLength(used.length * 2);
  });
});
