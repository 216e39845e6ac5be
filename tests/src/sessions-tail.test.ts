import { once } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  eventBody,
  eventually,
  startServer,
  type TestServer,
  type WireEvent,
  within,
} from "@daybook/test-kit";
import { WebSocket } from "ws";
import { openTails } from "./support/metric.js";
import {
  openBareSocket,
  parseAnswer,
  RawConnection,
  rawRequest,
  requestText,
  upgradeText,
} from "./support/raw-http.js";
import { openTail, refusedUpgrade, tailUrl } from "./support/tail-socket.js";

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe("the raw tail", () => {
  let server: TestServer;
  let id: string;
  beforeAll(async () => (server = await startServer()));
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(async () => (id = await server.create()));

  const tail = (query = "", session = id) => openTail(server.url, session, query);

  test("replays from the start, then follows live, on one socket", async () => {
    await server.fill(id, { to: 3 });
    using following = await tail();
    await following.reached(3);
    await server.append(id, eventBody(4));
    await server.append(id, { events: [eventBody(5), eventBody(6)] });
    await following.reached(6);
    expect(following.seqs).toEqual(range(1, 6));
  });

  test("a session that was just created can be followed at once", async () => {
    using following = await tail();
    await server.append(id, eventBody(1));
    await following.reached(1);
    expect(following.seqs).toEqual([1]);
  });

  test("each frame is one event's JSON, the very text that a read gives", async () => {
    const payload = String.raw`{"z":1,"a":9007199254740993,"t":"\u00e9 é🎉","__proto__":[ 1 ,2]}`;
    await server.append(id, `{"type":"t","payload":${payload},"producer_id":"p","producer_seq":1}`);
    await server.append(id, eventBody(1));
    using following = await tail();
    await following.reached(2);
    const { text } = await server.events(id);
    expect(following.frames).toHaveLength(2);
    expect(text).toContain(`"events":[${following.frames.join(",")}]`);
    expect(following.frames[0]).toContain(`"payload":${payload}}`);
  });

  test("a live event has the same text as a replayed one", async () => {
    using live = await tail();
    await server.append(id, eventBody(1));
    await live.reached(1);
    using later = await tail();
    await later.reached(1);
    expect(later.frames).toEqual(live.frames);
  });

  test("begins after the cursor; the last seq as cursor gives only what is new", async () => {
    await server.fill(id, { to: 10 });
    using middle = await tail("?cursor=7");
    using end = await tail("?cursor=10");
    await server.append(id, eventBody(11));
    await middle.reached(11);
    await end.reached(11);
    expect(middle.seqs).toEqual([8, 9, 10, 11]);
    expect(end.seqs).toEqual([11]);
  });

  test("long sessions come whole and in order", async () => {
    await server.fill(id, { to: 5_000, more: { payload: { text: "x".repeat(200) } } });
    using following = await tail();
    await following.reached(5_000);
    expect(following.seqs).toEqual(range(1, 5_000));
  });

  test("frames of every length arrive whole: 7, 16 and 64 bit lengths and their edges", async () => {
    await server.append(id, eventBody(1));
    const [{ length: base }] = [(await framesOf(1))[0] ?? ""];
    const wanted = [65_535, 65_536, 65_537, 300_000];
    for (const [index, length] of wanted.entries()) {
      const n = "x".repeat(length - base - 1);
      await server.append(id, eventBody(index + 2, { payload: { n } }));
    }
    const lengths = (await framesOf(5)).slice(1).map((frame) => Buffer.byteLength(frame));
    expect(lengths).toEqual(wanted);
  });

  const framesOf = async (count: number): Promise<string[]> => {
    using following = await tail();
    await following.received(count);
    return following.frames;
  };

  describe("batch_size", () => {
    test.each([2, 3, 1_000])("%i makes every frame an array of at most so many", async (size) => {
      await server.fill(id, { to: 25 });
      using following = await tail(`?batch_size=${size}`);
      await following.reached(25);
      await server.append(id, eventBody(26));
      await following.reached(26);
      const frames = following.frames.map((frame) => JSON.parse(frame) as unknown);
      expect(frames.every((frame) => Array.isArray(frame) && frame.length >= 1 && frame.length <= size)).toBe(
        true,
      );
      expect(frames.at(-1)).toHaveLength(1);
      expect(following.seqs).toEqual(range(1, 26));
    });

    test("events in an array have their exact text too", async () => {
      await server.fill(id, { to: 2 });
      using one = await tail();
      using many = await tail("?batch_size=10");
      await one.reached(2);
      await many.reached(2);
      expect(many.frames).toEqual([`[${one.frames.join(",")}]`]);
    });
  });

  describe("agent", () => {
    test("sends only events whose actor is that agent, with their own seqs", async () => {
      const actors = ["agent:a", "agent:b", "user:a", "agent:a", "agent:ab", "a", "agent:a"];
      for (const [n, actor] of actors.entries()) await server.append(id, eventBody(n + 1, { actor }));
      using following = await tail("?agent=a");
      await following.reached(7);
      await server.append(id, eventBody(8, { actor: "agent:b" }));
      await server.append(id, eventBody(9, { actor: "agent:a" }));
      await following.reached(9);
      expect(following.seqs).toEqual([1, 4, 7, 9]);
    });

    test("is not fooled by what stands in other members", async () => {
      const lie = ',"actor":"agent:liar","producer_id":';
      await server.append(
        id,
        eventBody(1, { type: lie, source: lie, payload: { actor: "agent:liar", lie } }),
      );
      await server.append(id, eventBody(2, { actor: 'agent:l"i\\ar é' }));
      await server.append(id, eventBody(3, { actor: "agent:liar" }));
      using following = await tail("?agent=liar");
      using odd = await tail(`?agent=${encodeURIComponent('l"i\\ar é')}`);
      await following.reached(3);
      await odd.reached(2);
      expect([following.seqs, odd.seqs]).toEqual([[3], [2]]);
    });

    test("goes with batch_size and cursor", async () => {
      for (let n = 1; n <= 20; n++)
        await server.append(id, eventBody(n, { actor: n % 2 === 0 ? "agent:even" : "agent:odd" }));
      using following = await tail("?agent=even&batch_size=3&cursor=4");
      await following.reached(20);
      expect(following.seqs).toEqual([6, 8, 10, 12, 14, 16, 18, 20]);
      expect(following.frames.every((frame) => frame.startsWith("["))).toBe(true);
    });
  });

  describe("an upgrade is refused with a body that says why", () => {
    test.each([
      ["?cursor=-1", 400, "invalid_cursor"],
      ["?cursor=abc", 400, "invalid_cursor"],
      ["?cursor=", 400, "invalid_cursor"],
      ["?cursor=1.5", 400, "invalid_cursor"],
      ["?cursor=0&cursor=0", 400, "invalid_cursor"],
      ["?cursor=%FF", 400, "invalid_request"],
      ["?batch_size=1", 400, "invalid_tail_batch_size"],
      ["?batch_size=0", 400, "invalid_tail_batch_size"],
      ["?batch_size=1001", 400, "invalid_tail_batch_size"],
      ["?batch_size=", 400, "invalid_tail_batch_size"],
      ["?batch_size=two", 400, "invalid_tail_batch_size"],
    ])("%s: %i %s", async (query, status, code) => {
      const { json, headers, ...answer } = await refusedUpgrade(tailUrl(server.url, id, query));
      expect([answer.status, json.error]).toEqual([status, code]);
      expect(typeof json.message).toBe("string");
      expect(headers["content-type"]).toBe("application/json; charset=utf-8");
    });

    test("a cursor beyond the end: 400 with the last seq", async () => {
      await server.fill(id, { to: 4 });
      const { status, json } = await refusedUpgrade(tailUrl(server.url, id, "?cursor=5"));
      expect([status, json.error, json.last_seq]).toEqual([400, "invalid_cursor", 4]);
    });

    test("an unknown session, a deleted one, a bad id, an unknown path", async () => {
      await server.call("DELETE", `/v1/sessions/${id}`);
      for (const [path, status, code] of [
        [`/v1/sessions/${id}/tail`, 404, "session_not_found"],
        ["/v1/sessions/nobody/tail", 404, "session_not_found"],
        [`/v1/sessions/${"x".repeat(257)}/tail`, 400, "invalid_session_id"],
        ["/v1/sessions/a%00b/tail", 400, "invalid_session_id"],
        ["/v1/sessions/a%2Fb/tail", 400, "invalid_session_id"],
        ["/v1/sessions/%FF/tail", 400, "invalid_session_id"],
        ["/v1/sessions", 404, "not_found"],
        ["/nowhere", 404, "not_found"],
      ] as const) {
        const { status: got, json } = await refusedUpgrade(server.url.replace("http", "ws") + path);
        expect([path, got, json.error]).toEqual([path, status, code]);
      }
    });

    test("a handshake that is no WebSocket one: 400 invalid_websocket_upgrade", async () => {
      const path = `/v1/sessions/${id}/tail`;
      for (const headers of [{ "sec-websocket-key": "short" }, { "sec-websocket-version": "7" }]) {
        const { status, body } = parseAnswer(await allText(upgradeText(server.url, path, headers)));
        expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([
          400,
          "invalid_websocket_upgrade",
        ]);
      }
    });

    test("the path without an upgrade: 400 invalid_websocket_upgrade", async () => {
      const { status, json } = await server.call("GET", `/v1/sessions/${id}/tail`);
      expect([status, json.error]).toEqual([400, "invalid_websocket_upgrade"]);
    });

    const allText = async (text: string): Promise<string> => {
      using connection = await RawConnection.open(server.url);
      connection.write(text);
      await within("the connection ends", connection.ended);
      return connection.text;
    };
  });

  describe("the other end", () => {
    test("may say what it likes: frames of clients are ignored", async () => {
      using following = await tail();
      following.socket.send("hello");
      following.socket.send(JSON.stringify({ type: "append" }));
      following.socket.send(Buffer.from([0, 1, 2]));
      following.socket.send("x".repeat(60_000));
      await server.append(id, eventBody(1));
      await following.reached(1);
      expect(following.frames).toHaveLength(1);
      expect((await server.call("GET", `/v1/sessions/${id}`)).json.last_seq).toBe(1);
    });

    test("gets its pings answered", async () => {
      using following = await tail();
      following.socket.ping("are you there");
      const [answer] = (await within("a pong", once(following.socket, "pong"))) as [Buffer];
      expect(answer.toString()).toBe("are you there");
    });

    test("that breaks the protocol is cut off, alone", async () => {
      using good = await tail();
      using bad = await openBareSocket(server.url, id);
      // A reserved opcode, and not masked.
      bad.write(Buffer.from([0x83, 0x01, 0x00]));
      await within("the bad one is cut off", bad.ended);
      await server.append(id, eventBody(1));
      await good.reached(1);
    });

    test("that closes is answered and forgotten", async () => {
      const before = await openTails(server.opsUrl, "websocket");
      using following = await tail();
      expect(await openTails(server.opsUrl, "websocket")).toBe(before + 1);
      expect((await following.close()).code).toBe(1005);
      await eventually(
        "it is forgotten",
        async () => (await openTails(server.opsUrl, "websocket")) === before,
      );
    });

    test("that closes while events stream to it gets a clean close and nothing behind it", async () => {
      await server.fill(id, { to: 2_000, more: { payload: { text: "y".repeat(500) } } });
      for (let round = 0; round < 10; round++) {
        using following = await tail();
        await following.received(1);
        const appending = server.append(id, eventBody(2_001 + round));
        const { code } = await within("it closes", following.close());
        expect(code).toBe(1005);
        await appending;
      }
    });

    test("that is gone without a word is forgotten", async () => {
      const before = await openTails(server.opsUrl, "websocket");
      const gone = await openBareSocket(server.url, id);
      gone.socket.resetAndDestroy();
      await eventually(
        "it is forgotten",
        async () => (await openTails(server.opsUrl, "websocket")) === before,
      );
    });
  });

  describe("pings", () => {
    test("a silent client that answers them is kept", async () => {
      await using own = await startServer({ settings: { pingSeconds: 1 }, store: "memory" });
      const session = await own.create();
      using following = await openTail(own.url, session);
      for (let ping = 0; ping < 3; ping++) await within("a ping", once(following.socket, "ping"));
      expect(following.socket.readyState).toBe(WebSocket.OPEN);
      await own.append(session, eventBody(1));
      await following.reached(1);
    });

    test("a half-open socket is dropped when it leaves one unanswered", async () => {
      await using own = await startServer({ settings: { pingSeconds: 1 }, store: "memory" });
      using silent = await openBareSocket(own.url, await own.create());
      const startedAt = performance.now();
      await within("it is dropped", silent.ended);
      expect(performance.now() - startedAt).toBeLessThan(4_000);
      await eventually("it is forgotten", async () => (await openTails(own.opsUrl, "websocket")) === 0);
    });
  });

  test("a reader that is slow, but reads, is kept although its pongs come late", async () => {
    await using own = await startServer({ settings: { pingSeconds: 1 }, store: "memory" });
    const session = await own.create();
    const payload = { text: "x".repeat(500_000) };
    for (let n = 1; n <= 40; n++) await own.append(session, eventBody(n, { payload }));
    using slow = await openBareSocket(own.url, session);
    let readBytes = 0;
    // A fifth of a megabyte at a time, and no pong ever.
    const { socket } = slow;
    socket.on("data", (chunk: string) => {
      readBytes += chunk.length;
      if (readBytes < 200_000) return;
      readBytes = 0;
      socket.pause();
      setTimeout(() => socket.resume(), 40);
    });
    await slow.shows('"seq":40,');
    expect(socket.destroyed).toBe(false);
    // Once it has read everything, its silence counts.
    await within("it is dropped", slow.ended);
  });

  test("deletion closes it with 4004, once what it was sent is there", async () => {
    await server.fill(id, { to: 3 });
    using following = await tail();
    using batched = await tail("?batch_size=2");
    await following.reached(3);
    await server.call("DELETE", `/v1/sessions/${id}`);
    expect(await within("the close", following.closed)).toEqual({ code: 4004, reason: "session_deleted" });
    expect((await within("the close", batched.closed)).code).toBe(4004);
  });

  test("nobody skips or repeats: readers that come, go and come back while many write", async () => {
    const last = 600;
    const seen: WireEvent[][] = [];
    const reader = async (): Promise<void> => {
      const own: WireEvent[] = [];
      while (own.length < last) {
        using following = await tail(own.length === 0 ? "" : `?cursor=${own.length}`);
        const goal = Math.min(last, own.length + 37);
        await following.reached(goal);
        own.push(...following.events);
      }
      seen.push(own);
    };
    const writer = async (producer: string): Promise<void> => {
      for (let n = 1; n <= last / 6; n++) await server.append(id, eventBody(n, { producer_id: producer }));
    };
    await Promise.all([...range(1, 4).map(reader), ...range(1, 6).map((n) => writer(`p${n}`))]);
    const truth = await server.allEvents(id);
    for (const own of seen) expect(own).toEqual(truth);
  });

  test("a follower of its own session gets the answer of its append before the event", async () => {
    using following = await openBareSocket(server.url, id, "?cursor=0");
    using appending = await RawConnection.open(server.url);
    const order: string[] = [];
    const note = (connection: RawConnection, pattern: RegExp, what: string): void => {
      let from = 0;
      connection.socket.on("data", () => {
        for (const match of connection.text.slice(from).matchAll(pattern))
          order.push(`${what} ${match[1] ?? ""}`);
        from = connection.text.length;
      });
    };
    note(following, /"seq":(\d+),"cursor"/g, "event");
    note(appending, /"seq":(\d+),"deduped"/g, "answer");
    for (let n = 1; n <= 200; n++) {
      const line = `POST /v1/sessions/${id}/append`;
      const body = JSON.stringify(eventBody(n));
      appending.write(requestText(server.url, { line, body, headers: { connection: "keep-alive" } }));
      await eventually(`event ${n} comes`, () => order.length === 2 * n);
    }
    expect(order).toEqual(range(1, 200).flatMap((n) => [`answer ${n}`, `event ${n}`]));
  });

  test("a plain request on a connection that asks for another protocol is answered as HTTP", async () => {
    const text = requestText(server.url, {
      line: `GET /v1/sessions/${id}`,
      headers: {
        connection: "Upgrade, HTTP2-Settings, close",
        upgrade: "h2c",
        "http2-settings": "AAMAAABkAAQAAP__",
      },
    });
    const { status } = await rawRequest(server.url, text);
    expect(status).toBe(200);
  });
});
