import { Writable } from "node:stream";
import { readSettings, serve } from "@daybook/server";
import { Api, eventBody, eventually, newDataDir, testSettings } from "@daybook/test-kit";
import { pino } from "pino";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApiKey } from "@daybook/server";
import { AuthServer, newId, TokenApi } from "./support/auth-server.js";
import { ChannelSocket } from "./support/channel-socket.js";
import { text } from "./support/conversation.js";
import { EventStream } from "./support/event-stream.js";
import { PhoenixClient } from "./support/phoenix-client.js";
import { openTail, refusedUpgrade, tailUrl } from "./support/tail-socket.js";

let auth: AuthServer;
let acme: TokenApi;
let umbrella: TokenApi;
beforeAll(async () => {
  auth = await AuthServer.start();
  [acme, umbrella] = [await auth.service("acme"), await auth.service("umbrella")];
});
afterAll(() => auth[Symbol.asyncDispose]());

describe("two tenants", () => {
  test("may have sessions of the same id, and each sees only its own", async () => {
    const id = newId();
    await acme.create({ id, title: "acme's", metadata: { owner: "acme" } });
    await umbrella.create({ id, title: "umbrella's", metadata: { owner: "umbrella" } });
    expect((await acme.call("POST", "/v1/sessions", { id })).json.error).toBe("session_exists");
    await acme.append(id, eventBody(1, { payload: { secret: "acme" } }));
    await umbrella.append(id, eventBody(1, { payload: { secret: "umbrella" } }));
    await umbrella.append(id, eventBody(2));
    expect((await acme.call("GET", `/v1/sessions/${id}`)).json).toMatchObject({
      title: "acme's",
      tenant_id: "acme",
      last_seq: 1,
    });
    expect(
      (await acme.events(id)).json.events.map(({ payload, tenant_id: tenant }) => [tenant, payload]),
    ).toEqual([["acme", { secret: "acme" }]]);
    expect((await umbrella.events(id)).json.last_seq).toBe(2);
    const listed = await acme.call("GET", "/v1/sessions?metadata.owner=umbrella");
    expect(listed.json.sessions).toEqual([]);
    await umbrella.call("DELETE", `/v1/sessions/${id}`);
    expect((await acme.call("GET", `/v1/sessions/${id}`)).status).toBe(200);
    expect((await acme.events(id)).json.events).toHaveLength(1);
  });

  test("another's id is answered exactly as one that never was, in every call", async () => {
    const theirs = await umbrella.create({ id: newId("theirs"), title: "hidden" });
    await umbrella.append(theirs, eventBody(1));
    const never = newId("theirs");
    const calls = [
      ["GET", "", undefined],
      ["PATCH", "", { title: "x" }],
      ["DELETE", "", undefined],
      ["POST", "/append", eventBody(1)],
      ["POST", "/append", eventBody(1, { expected_seq: 9 })],
      ["POST", "/append", { events: [eventBody(1)] }],
      ["POST", "/archive", {}],
      ["POST", "/unarchive", {}],
      ["POST", "/import", { events: [] }],
      ["GET", "/events", undefined],
      ["GET", "/events?cursor=99", undefined],
      ["GET", "/events?before=2", undefined],
      ["GET", "/tail", undefined],
    ] as const;
    for (const [method, rest, body] of calls) {
      const [one, other] = [
        await acme.call(method, `/v1/sessions/${theirs}${rest}`, body),
        await acme.call(method, `/v1/sessions/${never}${rest}`, body),
      ];
      expect([method, rest, one.status, one.text]).toEqual([method, rest, other.status, other.text]);
      expect(one.text).not.toContain("hidden");
    }
    await umbrella.call("POST", `/v1/conversations/${theirs}/messages`, { message: text("user", "hidden") });
    const inConversations = [
      ["GET", "", undefined],
      ["DELETE", "", undefined],
      ["GET", "/tail", undefined],
      ["GET", "/messages", undefined],
      ["POST", "/messages", { message: text("user", "hi") }],
      ["POST", "/messages", { message: text("user", "hi"), if_version: 9 }],
    ] as const;
    for (const [method, rest, body] of inConversations) {
      const [one, other] = [
        await acme.call(method, `/v1/conversations/${theirs}${rest}`, body),
        await acme.call(method, `/v1/conversations/${never}${rest}`, body),
      ];
      expect([method, rest, one.status, one.text]).toEqual([method, rest, other.status, other.text]);
      expect(one.text).not.toContain("hidden");
    }
    const headers = { authorization: `Bearer ${acme.token}` };
    const [one, other] = [
      await refusedUpgrade(tailUrl(auth.url, theirs, "?cursor=99"), { headers }),
      await refusedUpgrade(tailUrl(auth.url, never, "?cursor=99"), { headers }),
    ];
    expect([one.status, one.json]).toEqual([other.status, other.json]);
    expect((await umbrella.call("GET", `/v1/sessions/${theirs}`)).json.last_seq).toBe(2);
  });

  test("a conversation's channel shows nothing of the other's conversation of that id, there or not", async () => {
    const id = newId("talk");
    await umbrella.call("PUT", `/v1/conversations/${id}`);
    using client = new PhoenixClient(auth.url, { endpoint: "/socket", token: acme.token });
    const channel = client.channel(`conversation:${id}`, { from: 1 });
    // Theirs is at version 1 by now; here there is none.
    await umbrella.call("POST", `/v1/conversations/${id}/messages`, { message: text("user", "hidden") });
    expect(await channel.join()).toEqual({ status: "ok", response: { version: 0 } });
    await umbrella.call("POST", `/v1/conversations/${id}/messages`, { message: text("user", "hidden") });
    await umbrella.call("DELETE", `/v1/conversations/${id}`);
    await acme.call("PUT", `/v1/conversations/${id}`);
    await acme.call("POST", `/v1/conversations/${id}/messages`, { message: text("user", "mine") });
    await eventually("its own message", () => channel.pushes.length > 0);
    expect(channel.pushes).toMatchObject([{ event: "message", payload: { seq: 1 } }]);
    expect(JSON.stringify(channel.pushes)).not.toContain("hidden");
  });

  test("a list, its cursors and its pages hold no other's", async () => {
    const [one, two] = [await auth.service(newId("t")), await auth.service(newId("t"))];
    const ids = Array.from({ length: 9 }, (_, n) => `list-${n}`);
    for (const [index, id] of ids.entries()) await (index % 2 === 0 ? one : two).create({ id });
    const first = await one.call("GET", "/v1/sessions?limit=2");
    const foreign = await two.call("GET", `/v1/sessions?limit=100&cursor=${String(first.json.next_cursor)}`);
    expect(foreign.json.sessions.map(({ id }) => id)).toEqual(["list-3", "list-5", "list-7"]);
    for (const sort of ["id", "created", "updated"]) {
      const { sessions } = (await one.call("GET", `/v1/sessions?sort=${sort}&archived=all`)).json;
      expect(sessions.map(({ id }) => id).sort()).toEqual(["list-0", "list-2", "list-4", "list-6", "list-8"]);
    }
  });

  test("tenants whose names begin alike, or hold what keys are built with, are sealed too", async () => {
    const names = ["a", "a\u00a0", "ab", "a:b", "a b", "ä", "A", "__proto__", "日本"];
    const apis = await Promise.all(names.map((name) => auth.service(name)));
    for (const [index, api] of apis.entries()) await api.create({ id: "same", title: names[index] });
    for (const [index, api] of apis.entries()) {
      const { sessions } = (await api.call("GET", "/v1/sessions")).json;
      expect(sessions.map(({ title }) => title)).toEqual([names[index]]);
      const feed = (await api.call("GET", "/v1/lifecycle")).json;
      expect(feed.events).toHaveLength(1);
    }
  });

  test("a producer of one does not touch the same producer of another", async () => {
    const id = newId();
    await acme.create({ id });
    await umbrella.create({ id });
    await acme.append(id, eventBody(5));
    expect((await umbrella.append(id, eventBody(1))).json).toMatchObject({ seq: 1, deduped: false });
    expect((await acme.append(id, eventBody(6))).json).toMatchObject({ seq: 2 });
  });

  test("a tail of one does not wake for the other's session of the same id", async () => {
    const id = newId();
    await acme.create({ id });
    await umbrella.create({ id });
    using tail = await openTail(auth.url, id, `?access_token=${acme.token}`);
    using client = new PhoenixClient(auth.url, { token: acme.token });
    const channel = await client.join(`tail:${id}`);
    const feed = await client.join("lifecycle");
    await umbrella.append(id, eventBody(1, { payload: { secret: 1 } }));
    await umbrella.call("DELETE", `/v1/sessions/${id}`);
    await acme.append(id, eventBody(1, { payload: { mine: 1 } }));
    await tail.received(1);
    await channel.reached(1);
    expect([tail.events, channel.events].flat().map(({ payload }) => payload)).toEqual([
      { mine: 1 },
      { mine: 1 },
    ]);
    expect(feed.lifecycle).toEqual([]);
  });

  test("metrics name neither tenants nor sessions", async () => {
    const id = await acme.create({ id: newId("unmistakable") });
    await acme.append(id, eventBody(1));
    const metrics = await (await fetch(`${auth.opsUrl}/metrics`)).text();
    expect(metrics).toContain("daybook_appends_total");
    for (const word of ["acme", "umbrella", "unmistakable", "backend"]) expect(metrics).not.toContain(word);
  });
});

describe("the log at level trace", () => {
  test("holds no token, no payload, no title and no query, whatever was called and refused", async () => {
    const lines: string[] = [];
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const dataDir = await newDataDir();
    const settings = {
      ...testSettings(dataDir, { store: "memory", settings: { auth: "jwt", logLevel: "trace" } }),
    };
    const server = await serve(settings, { logger: pino({ level: "trace", base: null }, sink) });
    const { key } = await createApiKey(dataDir, { tenant: "tenant-secret" });
    const signature = key.split(".")[2] ?? "";
    await callEverything(server.url, key);
    await server.close();
    await rm(dataDir, { recursive: true, force: true });
    const text = lines.join("");
    expect(lines.length).toBeGreaterThan(20);
    for (const secret of [
      signature,
      key.slice(0, 60),
      "payload-secret",
      "title-secret",
      "meta-secret",
      "garbage-token",
    ])
      expect(lines.filter((line) => line.includes(secret))).toEqual([]);
    expect(text).not.toContain("access_token");
  });
});

/** Every dialect, well and badly, with secrets in all places. */
async function callEverything(url: string, key: string): Promise<void> {
  const api = new TokenApi(url, key);
  const id = await api.create({ title: "title-secret", metadata: { m: "meta-secret" } });
  await api.append(id, eventBody(1, { payload: { p: "payload-secret" } }));
  await api.append(id, eventBody(7, { payload: { p: "payload-secret" } }));
  await api.append(id, '{"type":"payload-secret","payload":{"payload-secret":}}');
  await api.append(id, { type: "x", payload: "payload-secret" });
  await api.append(id, eventBody(2, { actor: "agent:payload-secret" }));
  await api.append(id, eventBody(2, { refs: { to_seq: "payload-secret" } }));
  await api.append(id, eventBody(2, { metadata: { "payload-secret": 1, x: "\u0000" } }));
  await api.append(id, '{"type":"t","type":"payload-secret"}');
  await api.call("PATCH", `/v1/sessions/${id}`, { title: 5, metadata: "meta-secret" });
  await api.call("GET", `/v1/sessions?limit=title-secret&archived=meta-secret&metadata.m=meta-secret`);
  await api.call("GET", `/v1/nowhere?access_token=${key}`);
  await api.call("PUT", `/v1/sessions?access_token=${key}`);
  const bare = new Api(url);
  for (const query of [
    `access_token=${key}&access_token=${key}`,
    `access_token=${key}%zz`,
    `access_token=garbage-token`,
  ])
    for (const accept of ["text/event-stream", "*/*"])
      await bare.call("GET", `/v1/sessions/${id}/tail?${query}`, undefined, { headers: { accept } });
  for (const authorization of ["Bearer garbage-token", `Basic ${key}`, `Bearer ${key} ${key}`])
    await bare.call("GET", "/v1/sessions", undefined, { headers: { authorization } });
  for (const query of [
    `?access_token=${key}%zz`,
    "?access_token=garbage-token",
    `?access_token=${key}&cursor=99`,
  ])
    await refusedUpgrade(tailUrl(url, id, query));
  using tail = await openTail(url, id, `?access_token=${key}`);
  await tail.received(1);
  using stream = await EventStream.open(`${url}/v1/sessions/${id}/tail?access_token=${key}`);
  await stream.received(1);
  using socket = await ChannelSocket.open(url, { token: key });
  await socket.join(`tail:${id}`, { token: "garbage-token" });
  await socket.join(`tail:${id}`, { token: key });
  await socket.ask(`tail:${id}`, "append", { event: { payload: "payload-secret" } });
  socket.sendText('not json "payload-secret"');
  await eventually("the tail has it", () => socket.seqs(`tail:${id}`).length > 0);
  await api.call("POST", "/api/v1/session-tokens", {
    session_id: "payload-secret/",
    principal: "payload-secret",
  });
}

test("every setting has an environment variable, so that keys need not stand in a process list", () => {
  expect(readSettings({}, { DAYBOOK_AUTH: "jwt", DAYBOOK_PUBLIC_URL: "https://d.example/" })).toMatchObject({
    auth: "jwt",
    publicUrl: "https://d.example",
  });
});
