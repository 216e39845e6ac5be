import { once } from "node:events";
import { Agent, request } from "node:http";
import { describe, expect, test } from "vitest";
import {
  Api,
  eventBody,
  eventually,
  type ServerProcess,
  startServer,
  startServerProcess,
  within,
} from "@daybook/test-kit";
import { EventStream } from "./support/event-stream.js";
import { openTails } from "./support/metric.js";
import { openBareSocket, parseAnswer, RawConnection, requestText } from "./support/raw-http.js";
import { openTail } from "./support/tail-socket.js";

/** An append whose body has begun to come; the rest is sent when the test says so. */
async function beginAppend(
  url: string,
  id: string,
  producerSeq: number,
): Promise<{
  readonly connection: RawConnection;
  finish(): Promise<number>;
}> {
  const connection = await RawConnection.open(url);
  const text = requestText(url, {
    line: `POST /v1/sessions/${id}/append`,
    body: JSON.stringify(eventBody(producerSeq)),
  });
  connection.write(text.slice(0, -10));
  return {
    connection,
    finish: async () => {
      connection.write(text.slice(-10));
      await within("the append is answered", connection.ended);
      return parseAnswer(connection.text).status;
    },
  };
}

const ready = async (server: ServerProcess): Promise<number> =>
  (await fetch(`${server.opsUrl}/health/ready`)).status;

describe("a graceful stop", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s ends an idle server at once, with exit code 0",
    async (signal) => {
      await using server = await startServerProcess();
      await server.call("GET", "/v1/sessions");
      const startedAt = performance.now();
      expect(await within("it exits", server.kill(signal))).toEqual({ code: 0, signal: null });
      expect(performance.now() - startedAt).toBeLessThan(4_000);
    },
  );

  test("tails and long polls end at once, in order; what is in flight finishes; then it exits with 0", async () => {
    await using server = await startServerProcess({ settings: { drainSeconds: 8 } });
    const id = await server.create();
    await server.fill(id, { to: 3 });
    using socket = await openTail(server.url, id);
    using stream = await EventStream.open(`${server.url}/v1/sessions/${id}/tail`);
    const poll = server.events(id, "?cursor=3&wait=60");
    await socket.reached(3);
    await stream.received(3);
    await eventually("it polls", async () => (await openTails(server.opsUrl, "poll")) === 1);
    const append = await beginAppend(server.url, id, 4);

    const exit = server.kill("SIGTERM");
    expect(await within("the socket closes", socket.closed)).toEqual({
      code: 1001,
      reason: "server_draining",
    });
    await within("the stream ends", stream.ended);
    expect(stream.seqs).toEqual([1, 2, 3]);
    const answer = await within("the poll is answered", poll);
    expect([answer.status, answer.json.events, answer.json.next_cursor]).toEqual([200, [], 3]);

    expect(await ready(server)).toBe(503);
    expect((await fetch(`${server.opsUrl}/health/live`)).status).toBe(200);
    await expect(RawConnection.open(server.url)).rejects.toThrow();

    expect(await append.finish()).toBe(201);
    expect(await within("it exits", exit)).toEqual({ code: 0, signal: null });

    await using again = await startServerProcess({ dataDir: server.dataDir });
    expect((await again.allEvents(id)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  });

  test("bodies that do not finish are cut after the drain seconds, and nothing of them is written", async () => {
    await using server = await startServerProcess({ settings: { drainSeconds: 1 } });
    const id = await server.create();
    const append = await beginAppend(server.url, id, 1);
    using silent = await RawConnection.open(server.url);
    const startedAt = performance.now();
    expect(await within("it exits", server.kill("SIGTERM"))).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await append.connection.ended;
    await silent.ended;
    await using again = await startServerProcess({ dataDir: server.dataDir });
    expect((await again.call("GET", `/v1/sessions/${id}`)).json.last_seq).toBe(0);
  });

  test("sockets that do not answer the close, and readers that stopped reading, do not hold it up", async () => {
    await using server = await startServerProcess({ settings: { drainSeconds: 1 } });
    const id = await server.create();
    const payload = { text: "x".repeat(100_000) };
    for (let n = 1; n <= 100; n++) await server.append(id, eventBody(n, { payload }));
    using silent = await openBareSocket(server.url, id, "?cursor=100");
    using stuck = await openBareSocket(server.url, id);
    stuck.socket.pause();
    using stuckStream = await RawConnection.open(server.url);
    stuckStream.write(
      requestText(server.url, {
        line: `GET /v1/sessions/${id}/tail`,
        headers: { accept: "text/event-stream" },
      }),
    );
    await stuckStream.shows("text/event-stream");
    stuckStream.socket.pause();
    expect(silent.socket.readable).toBe(true);
    expect(await within("it exits", server.kill("SIGTERM"), 9_000)).toEqual({ code: 0, signal: null });
  });

  test("connections that clients keep for later do not hold it up, also when one is just being used", async () => {
    await using server = await startServerProcess({ settings: { drainSeconds: 8 } });
    const id = await server.create();
    const agent = new Agent({ keepAlive: true });
    const poll = request(`${server.url}/v1/sessions/${id}/events?wait=60`, { agent });
    poll.end();
    await eventually("it polls", async () => (await openTails(server.opsUrl, "poll")) === 1);
    const answered = once(poll, "response");
    const startedAt = performance.now();
    const exit = server.kill("SIGTERM");
    const [response] = (await within("the poll is answered", answered)) as [
      NodeJS.ReadableStream & { headers: object },
    ];
    expect(response.headers).toMatchObject({ connection: "close" });
    response.resume();
    expect(await within("it exits", exit)).toEqual({ code: 0, signal: null });
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    agent.destroy();
  });

  test("a second signal does not cut it short", async () => {
    await using server = await startServerProcess({ settings: { drainSeconds: 8 } });
    const id = await server.create();
    const append = await beginAppend(server.url, id, 1);
    const exit = server.kill("SIGTERM");
    await eventually("it drains", async () => (await ready(server)) === 503);
    void server.kill("SIGTERM");
    void server.kill("SIGINT");
    expect(await append.finish()).toBe(201);
    expect(await within("it exits", exit)).toEqual({ code: 0, signal: null });
  });

  test("under load nothing acknowledged is lost, every answer is whole, and followers see no more than that", async () => {
    await using server = await startServerProcess();
    const ids = await Promise.all(Array.from({ length: 4 }, () => server.create()));
    const acknowledged = new Map(ids.map((id) => [id, 0]));
    let stopping = false;
    const write = async (id: string): Promise<void> => {
      for (let n = 1; ; n++) {
        try {
          const { status, json } = await new Api(server.url).append(id, eventBody(n));
          if (status !== 201) throw new Error(json.error);
          acknowledged.set(id, json.seq);
        } catch (error) {
          if (!stopping) throw error;
          return;
        }
      }
    };
    const streams = await Promise.all(
      ids.map((id) => EventStream.open(`${server.url}/v1/sessions/${id}/tail`)),
    );
    const writers = ids.map(write);
    await eventually("all write", () => [...acknowledged.values()].every((seq) => seq > 20));
    stopping = true;
    expect(await within("it exits", server.kill("SIGTERM"))).toEqual({ code: 0, signal: null });
    await Promise.all(writers);
    await Promise.all(streams.map(({ ended }) => ended));

    await using again = await startServerProcess({ dataDir: server.dataDir });
    for (const [index, id] of ids.entries()) {
      const events = await again.allEvents(id);
      expect(events.length).toBeGreaterThanOrEqual(acknowledged.get(id) ?? 0);
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_, n) => n + 1));
      const shown = streams[index]?.events ?? [];
      expect(shown).toEqual(events.slice(0, shown.length));
    }
  });

  test("in the same process, close() may be called twice and everything is released", async () => {
    await using server = await startServer();
    const id = await server.create();
    using socket = await openTail(server.url, id);
    await Promise.all([server.close(), server.close()]);
    expect((await socket.closed).code).toBe(1001);
    expect(await server.closed).toBe(0);
    await using again = await startServer({ dataDir: server.dataDir });
    expect((await again.call("GET", `/v1/sessions/${id}`)).status).toBe(200);
  });

  test("a port that is taken, or a folder in use, is said at the start and leaves nothing behind", async () => {
    await using server = await startServer();
    const port = Number(new URL(server.url).port);
    await expect(startServer({ settings: { port } })).rejects.toMatchObject({ code: "EADDRINUSE" });
    await expect(startServer({ dataDir: server.dataDir })).rejects.toThrow("in use");
    expect((await server.call("GET", "/v1/sessions")).status).toBe(200);
  });
});
