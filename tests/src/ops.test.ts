import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventBody, eventually, startServer, startServerProcess, type TestServer } from "@daybook/test-kit";
import { ChannelSocket } from "./support/channel-socket.js";
import { EventStream } from "./support/event-stream.js";
import { metric, openTails } from "./support/metric.js";
import { openTail } from "./support/tail-socket.js";

describe("the ops listener", () => {
  let server: TestServer;
  beforeAll(async () => (server = await startServer()));
  afterAll(() => server[Symbol.asyncDispose]());

  const get = async (path: string, method = "GET"): Promise<[number, string]> => {
    const answer = await fetch(server.opsUrl + path, { method });
    return [answer.status, await answer.text()];
  };

  test("is on this machine only, on a port of its own", () => {
    expect(new URL(server.opsUrl).hostname).toBe("127.0.0.1");
    expect(new URL(server.opsUrl).port).not.toBe(new URL(server.url).port);
  });

  test("says that the server lives and is ready", async () => {
    expect(await get("/health/live")).toEqual([200, "live\n"]);
    expect(await get("/health/ready")).toEqual([200, "ready\n"]);
    expect((await get("/health/ready?x=1"))[0]).toBe(200);
    expect(await get("/health/live", "HEAD")).toEqual([200, ""]);
  });

  test("knows nothing else and changes nothing", async () => {
    expect((await get("/"))[0]).toBe(404);
    expect((await get("/v1/sessions"))[0]).toBe(404);
    expect((await get("/health/live", "POST"))[0]).toBe(405);
  });

  test("has every metric that is promised, in Prometheus' form", async () => {
    const answer = await fetch(`${server.opsUrl}/metrics`);
    expect(answer.headers.get("content-type")).toContain("text/plain; version=0.0.4");
    const text = await answer.text();
    for (const [name, type] of [
      ["daybook_appends_total", "counter"],
      ["daybook_events_total", "counter"],
      ["daybook_log_bytes_total", "counter"],
      ["daybook_batch_commits", "histogram"],
      ["daybook_sync_seconds", "histogram"],
      ["daybook_append_seconds", "histogram"],
      ["daybook_open_tails", "gauge"],
      ["daybook_tail_events_total", "counter"],
      ["daybook_view_lag_bytes", "gauge"],
      ["daybook_queue_bytes", "gauge"],
      ["daybook_http_requests_total", "counter"],
      ["process_resident_memory_bytes", "gauge"],
    ] as const)
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
  });

  test("counts what happens", async () => {
    const id = await server.create({ id: "a-very-secret-id" });
    const value = (name: string): Promise<number> => metric(server.opsUrl, name);
    const ok = 'daybook_appends_total{result="ok"}';
    const conflicts = 'daybook_appends_total{result="producer_seq_conflict"}';
    const before = {
      ok: await value(ok),
      conflicts: await value(conflicts),
      events: await value("daybook_events_total"),
      bytes: await value("daybook_log_bytes_total"),
      timed: await value("daybook_append_seconds_count"),
    };
    await server.append(id, { events: [eventBody(1), eventBody(2)] });
    await server.append(id, eventBody(3));
    await server.append(id, eventBody(9));
    expect(await value(ok)).toBe(before.ok + 2);
    expect(await value(conflicts)).toBe(before.conflicts + 1);
    expect(await value("daybook_events_total")).toBe(before.events + 3);
    expect(await value("daybook_log_bytes_total")).toBeGreaterThan(before.bytes + 300);
    expect(await value("daybook_append_seconds_count")).toBe(before.timed + 3);
    expect(await value("daybook_batch_commits_count")).toBeGreaterThan(0);
    expect(await value("daybook_sync_seconds_count")).toBeGreaterThan(0);
  });

  test("counts appends on channels like those over REST", async () => {
    const id = await server.create();
    const answered = (result: string): Promise<number> =>
      metric(server.opsUrl, `daybook_appends_total{result="${result}"}`);
    const before = [await answered("ok"), await answered("producer_replay_conflict")];
    using socket = await ChannelSocket.open(server.url);
    await socket.join(`tail:${id}`);
    await socket.ask(`tail:${id}`, "append", { event: eventBody(1) });
    await socket.ask(`tail:${id}`, "append", { event: eventBody(1, { type: "other" }) });
    const after = [await answered("ok"), await answered("producer_replay_conflict")];
    expect(after).toEqual(before.map((count) => count + 1));
  });

  test("counts open tails by kind, and events as replayed or live", async () => {
    const id = await server.create();
    await server.fill(id, { to: 5 });
    const [replay, live] = ["replay", "live"].map((phase) => `daybook_tail_events_total{phase="${phase}"}`);
    const seen = async (name = ""): Promise<number> => metric(server.opsUrl, name);
    const before = (await seen(replay)) + (await seen(live));
    {
      using socket = await openTail(server.url, id);
      using stream = await EventStream.open(`${server.url}/v1/sessions/${id}/tail`);
      await socket.reached(5);
      await stream.received(5);
      expect(await openTails(server.opsUrl, "websocket")).toBe(1);
      expect(await openTails(server.opsUrl, "sse")).toBe(1);
      await server.append(id, eventBody(6));
      await socket.reached(6);
      await stream.received(6);
    }
    expect((await seen(replay)) + (await seen(live))).toBe(before + 12);
    expect(await seen(live)).toBeGreaterThanOrEqual(2);
    for (const kind of ["websocket", "sse"] as const)
      await eventually("no tail is open", async () => (await openTails(server.opsUrl, kind)) === 0);
  });

  test("the views catch up: their lag goes back to nothing", async () => {
    const id = await server.create();
    await server.fill(id, { to: 500 });
    await eventually("no lag", async () => (await metric(server.opsUrl, "daybook_view_lag_bytes")) === 0);
  });

  test("tells nobody whom the server serves: no ids in metrics", async () => {
    await server.create({ id: "somebody-s-session" });
    await server.append("somebody-s-session", eventBody(1, { producer_id: "somebody-s-producer" }));
    const [, text] = await get("/metrics");
    expect(text).not.toContain("somebody");
  });

  test("every answer has a request id of its own", async () => {
    const ids = await Promise.all(
      Array.from({ length: 5 }, async () =>
        (await server.call("GET", "/v1/sessions")).headers.get("x-request-id"),
      ),
    );
    expect(new Set(ids).size).toBe(5);
    expect(ids.every((id) => id !== null && id.length > 10)).toBe(true);
  });

  test("logs are JSON lines, with the request's id and without any payload, at the finest level too", async () => {
    await using own = await startServerProcess({ store: "memory", settings: { logLevel: "trace" } });
    const id = await own.create({ title: "the-title", metadata: { m: "the-metadata" } });
    const secret = { payload: { s: "the-payload" }, metadata: { s: "the-event-metadata" } };
    const { headers } = await own.append(id, eventBody(1, secret));
    await own.append(id, { events: [eventBody(1, { payload: { other: "the-payload" } })] });
    await own.append(id, '{"payload":"the-payload"');
    await own.call("GET", `/v1/sessions?metadata.m=the-metadata&access_token=the-token`);
    await own.kill("SIGTERM");
    const lines = own.output.split("\n").filter((line) => line !== "");
    expect(lines.length).toBeGreaterThan(4);
    const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(logged.some(({ reqId }) => reqId === headers.get("x-request-id"))).toBe(true);
    expect(own.output).not.toMatch(/the-(title|metadata|payload|event-metadata|token)/);
  });
});
