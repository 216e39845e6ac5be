import { Writable } from "node:stream";
import { EmbeddedEngine } from "@daybook/engine-embedded";
import { type RunningServer, serve } from "@daybook/server";
import { Api, eventBody, eventually, testSettings, within } from "@daybook/test-kit";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { EventStream } from "./support/event-stream.js";
import { PhoenixClient } from "./support/phoenix-client.js";
import { openTail } from "./support/tail-socket.js";

/** What readers are told when the store cannot read: nothing of the cause, and that they may come back. */
describe("a read that fails", () => {
  let server: Api;
  let running: RunningServer;
  let logged: string[] = [];
  beforeAll(async () => {
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        logged.push(chunk.toString());
        done();
      },
    });
    const settings = testSettings("/nonexistent", { store: "memory" });
    running = await serve(settings, { logger: pino({ level: "error" }, sink) });
    server = new Api(running.url);
  });
  afterAll(() => running.close());
  // Nobody outside learns what it was, so the log has to say.
  afterEach(() => {
    vi.restoreAllMocks();
    expect(logged.join("")).toContain("sector 7");
    logged = [];
  });

  const breakReads = (): void => {
    vi.spyOn(EmbeddedEngine.prototype, "read").mockImplementation(() => {
      throw new Error("sector 7 of /secret/place");
    });
  };

  test("is 500 internal_error with Retry-After over REST, and the cause stays here", async () => {
    const id = await server.create();
    breakReads();
    const { status, json, headers, text } = await server.events(id);
    expect([status, json.error, headers.get("retry-after")]).toEqual([500, "internal_error", "1"]);
    expect(text).not.toMatch(/sector|secret/);
  });

  test("closes a raw tail with 1011, which is not final", async () => {
    const id = await server.create();
    using tail = await openTail(server.url, id);
    breakReads();
    await server.append(id, eventBody(1));
    expect(await within("the tail ends", tail.closed)).toEqual({ code: 1011, reason: "internal_error" });
    vi.restoreAllMocks();
    using again = await openTail(server.url, id, "?cursor=0");
    await again.reached(1);
  });

  test("ends an event stream without a word, so that an EventSource comes back", async () => {
    const id = await server.create();
    using stream = await EventStream.open(`${server.url}/v1/sessions/${id}/tail`);
    breakReads();
    await server.append(id, eventBody(1));
    await within("the stream ends", stream.ended);
    expect(stream.messages).toEqual([]);
  });

  test("is phx_error on a channel: the client joins again from where it is, and misses nothing", async () => {
    const id = await server.create();
    using client = new PhoenixClient(server.url);
    let last = 0;
    const tail = await client.join(`tail:${id}`, () => ({ cursor: last }));
    tail.channel.on("events", ({ events }: { events: { seq: number }[] }) => {
      last = events.at(-1)?.seq ?? last;
    });
    await server.append(id, eventBody(1));
    await tail.reached(1);
    breakReads();
    await server.append(id, eventBody(2));
    await eventually("the channel has failed", () => tail.errors > 0);
    vi.restoreAllMocks();
    await tail.reached(2);
    expect([tail.isClosed, tail.seqs]).toEqual([false, [1, 2]]);
  });

  test("of the lifecycle is phx_error and the end of a stream likewise", async () => {
    using client = new PhoenixClient(server.url);
    const feed = await client.join("lifecycle");
    using stream = await EventStream.open(`${server.url}/v1/lifecycle`);
    await eventually("it follows", () => stream.messages.length > 0);
    vi.spyOn(EmbeddedEngine.prototype, "lifecycle").mockRejectedValue(new Error("sector 7"));
    await server.create();
    await within("the stream ends", stream.ended);
    await eventually("the channel has failed", () => feed.errors > 0);
    expect(feed.isClosed).toBe(false);
  });
});
