import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  eventBody,
  eventually,
  type ServerProcess,
  startServer,
  startServerProcess,
} from "@daybook/test-kit";
import { metric, openTails } from "./support/metric.js";
import { openBareSocket, RawConnection, requestText } from "./support/raw-http.js";
import { openTail } from "./support/tail-socket.js";

const MIB = 1024 * 1024;
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe("many and slow readers", () => {
  let server: ServerProcess;
  beforeAll(async () => (server = await startServerProcess()));
  afterAll(() => server[Symbol.asyncDispose]());

  const memory = (): Promise<number> => metric(server.opsUrl, "process_resident_memory_bytes");
  const appendTimes = async (id: string, from: number, count: number): Promise<number[]> => {
    const times: number[] = [];
    for (let n = from; n < from + count; n++) {
      const startedAt = performance.now();
      expect((await server.append(id, eventBody(n, { producer_id: "timed" }))).status).toBe(201);
      times.push(performance.now() - startedAt);
    }
    return times.sort((one, other) => one - other);
  };

  test("readers that stop reading cost bounded memory and slow nobody; one that goes on gets everything", async () => {
    const big = await server.create();
    const other = await server.create();
    const payload = { text: "x".repeat(500_000) };
    for (let n = 1; n <= 60; n++) await server.append(big, eventBody(n, { payload }));
    using warm = await openTail(server.url, big);
    await warm.reached(60);
    const before = await memory();
    const stuck: RawConnection[] = [];
    for (let n = 0; n < 10; n++) {
      const socket = await openBareSocket(server.url, big);
      socket.socket.pause();
      const stream = await RawConnection.open(server.url);
      stream.write(
        requestText(server.url, {
          line: `GET /v1/sessions/${big}/tail`,
          headers: { accept: "text/event-stream" },
        }),
      );
      await stream.shows("text/event-stream");
      stream.socket.pause();
      stuck.push(socket, stream);
    }
    const times = await appendTimes(other, 1, 50);
    // Each may hold a page and what the kernel does not take; all of the session each would be 600 MB.
    expect((await memory()) - before).toBeLessThan(150 * MIB);
    expect(times[25]).toBeLessThan(100);
    const slow = stuck[0];
    slow?.socket.resume();
    await eventually("the slow one has it all", () => (slow?.text.split('"seq":60,').length ?? 0) > 1);
    const seqs = [...(slow?.text.matchAll(/"tenant_id":"default","seq":(\d+),/g) ?? [])].map(([, seq]) =>
      Number(seq),
    );
    expect(seqs).toEqual(range(1, 60));
    for (const connection of stuck) connection[Symbol.dispose]();
  });

  test("1,000 idle tails cost little, and each gets the next event", async () => {
    const id = await server.create();
    const before = await memory();
    const tails = await Promise.all(range(1, 1_000).map(() => openBareSocket(server.url, id)));
    expect(await openTails(server.opsUrl, "websocket")).toBeGreaterThanOrEqual(1_000);
    expect((await memory()) - before).toBeLessThan(64 * MIB);
    expect((await server.append(id, eventBody(1))).status).toBe(201);
    await eventually("each has the event", () => tails.every(({ text }) => text.includes('"seq":1,')));
    for (const tail of tails) tail[Symbol.dispose]();
    await eventually("all are forgotten", async () => (await openTails(server.opsUrl, "websocket")) === 0);
  });

  test("long scans of filtered tails yield: others are answered meanwhile", async () => {
    const id = await server.create();
    await server.fill(id, { to: 20_000, more: { payload: { text: "y".repeat(100) }, actor: "agent:loud" } });
    await server.append(id, eventBody(1, { producer_id: "q", actor: "agent:quiet" }));
    const startedAt = performance.now();
    const tails = await Promise.all(range(1, 30).map(() => openTail(server.url, id, "?agent=quiet")));
    const times = await appendTimes(id, 1, 10);
    expect(times.at(-1)).toBeLessThan(1_000);
    await Promise.all(tails.map((tail) => tail.reached(20_001)));
    expect(performance.now() - startedAt).toBeGreaterThan(0);
    for (const tail of tails) {
      expect(tail.seqs).toEqual([20_001]);
      tail[Symbol.dispose]();
    }
  });
});

describe("more than the store takes", () => {
  test("appends get 429 with Retry-After once the queue is full, and sent again they are all there once", async () => {
    await using server = await startServer({ settings: { queueBytesMax: MIB } });
    const id = await server.create();
    const refusals = new Set<string>();
    const append = async (n: number): Promise<void> => {
      const body = eventBody(1, { producer_id: `p${n}`, payload: { text: "x".repeat(300_000) } });
      for (;;) {
        const { status, json, headers } = await server.append(id, body);
        if (status === 201) return;
        expect([status, json.error]).toEqual([429, "event_store_backpressure"]);
        expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
        refusals.add(json.error);
      }
    };
    await Promise.all(range(1, 40).map(append));
    expect(refusals.size).toBe(1);
    const producers = (await server.allEvents(id)).map((event) => event.producer_id);
    expect(producers.sort()).toEqual(
      range(1, 40)
        .map((n) => `p${n}`)
        .sort(),
    );
  });

  test("a disk that is nearly full refuses appends with 503 and goes on reading; with room it takes them again", async () => {
    await using first = await startServer();
    const id = await first.create();
    await first.fill(id, { to: 3 });
    await first.close();
    {
      await using full = await startServer({ dataDir: first.dataDir, settings: { reserveBytes: 2 ** 60 } });
      await eventually("appends are refused", async () => {
        const { status } = await full.call("POST", "/v1/sessions", {});
        return status === 503;
      });
      const { status, json, headers } = await full.append(id, eventBody(4));
      expect([status, json.error]).toEqual([503, "storage_unavailable"]);
      expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
      expect((await full.events(id)).json.events).toHaveLength(3);
      expect((await full.append(id, eventBody(2))).json.deduped).toBe(true);
    }
    await using roomy = await startServer({ dataDir: first.dataDir });
    expect((await roomy.append(id, eventBody(4))).json.seq).toBe(4);
  });
});
