import { once } from "node:events";
import { connect } from "node:net";
import { eventBody, eventually, within } from "@daybook/test-kit";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuthServer, newId, type TokenApi } from "./support/auth-server.js";
import { ChannelSocket, channelUrl } from "./support/channel-socket.js";

let auth: AuthServer;
let api: TokenApi;
let id = "";
beforeAll(async () => {
  auth = await AuthServer.start({ batchBytesMax: 64 * 1024 });
  api = await auth.service();
  id = await api.create({ id: newId() });
});
afterAll(() => auth[Symbol.asyncDispose]());

const open = (vsn = "2.0.0"): Promise<ChannelSocket> =>
  ChannelSocket.open(auth.url, { token: api.token, vsn });

/** The socket still answers, in the order it was asked. */
async function lives(socket: ChannelSocket): Promise<void> {
  expect(await socket.ask("phoenix", "heartbeat")).toEqual({ status: "ok", response: {} });
}

describe("frames that are no messages", () => {
  test.each([
    "",
    "not json",
    "null",
    "5",
    '"text"',
    "{}",
    "[]",
    "[1,2,3,4]",
    "[null,null,null,null,null]",
    '[null,"1","phoenix","heartbeat",{},"one more"]',
    '["1","1",{"topic":1},"phx_join",{}]',
    '["1","1","tail:x",["event"],{}]',
    '["1","1","tail:x","phx_join",{"a":1,"a":2',
    '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}',
    "\u0000",
    `${"[".repeat(1_000)}${"]".repeat(1_000)}`,
    `["${"x".repeat(300)}","1","phoenix","heartbeat",{}]`,
    `["1","${"x".repeat(300)}","phoenix","heartbeat",{}]`,
  ])("are passed over, and the socket lives on: %j", async (frame) => {
    using socket = await open();
    socket.sendText(frame);
    await lives(socket);
    expect(socket.messages).toHaveLength(1);
  });

  test("of the other serializer likewise", async () => {
    using socket = await open("1.0.0");
    socket.sendText('[null,"1","phoenix","heartbeat",{}]');
    socket.sendText('{"topic":5,"event":"heartbeat"}');
    await lives(socket);
    expect(socket.messages).toHaveLength(1);
  });

  test("in binary likewise", async () => {
    using socket = await open();
    socket.sendText(Buffer.from([0, 1, 2, 255]));
    socket.sendText(Buffer.from('[null,"b1","phoenix","heartbeat",{}]'));
    await lives(socket);
    expect(socket.messages).toHaveLength(1);
  });

  test("end the socket after a hundred of them, with 1008", async () => {
    using socket = await open();
    for (let n = 0; n < 101; n++) socket.sendText("nonsense");
    expect(await within("the socket ends", socket.closed)).toEqual({
      code: 1008,
      reason: "malformed_frames",
    });
  });

  test("that are larger than any append may be end it with 1009", async () => {
    using socket = await open();
    socket.sendText(JSON.stringify(["1", "1", `tail:${id}`, "append", { event: "x".repeat(300_000) }]));
    expect((await within("the socket ends", socket.closed)).code).toBe(1009);
  });

  test("that are text and not UTF-8 end it with 1007", async () => {
    using socket = await open();
    socket.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false });
    expect((await within("the socket ends", socket.closed)).code).toBe(1007);
  });
});

describe("messages that mean nothing", () => {
  test("a ref that is a number is answered as text; without a ref there is no answer", async () => {
    using socket = await open();
    socket.sendText('[null,7,"phoenix","heartbeat",{}]');
    socket.sendText('[null,null,"phoenix","heartbeat",{}]');
    socket.sendText('["1",null,"tail:nobody","phx_join",{}]');
    await lives(socket);
    expect(socket.messages.map(({ ref }) => ref)).toEqual(["7", "1"]);
  });

  test("a payload that is no JSON object, holds a member twice or is too deep is an error reply", async () => {
    using socket = await open();
    await socket.join(`tail:${id}`);
    const deep = `${'{"a":'.repeat(80)}1${"}".repeat(80)}`;
    const payloads = ["null", "[]", '"x"', '{"event":{"type":"t","type":"t"}}', `{"event":${deep}}`];
    for (const [index, payload] of payloads.entries())
      socket.sendText(`["1","p${index}","tail:${id}","append",${payload}]`);
    await lives(socket);
    for (const [index] of payloads.entries()) {
      const message = socket.messages.find(({ ref }) => ref === `p${index}`);
      // What cannot be read as a message at all has no answer; nothing was written in any case.
      if (message !== undefined) expect(message.payload["status"]).toBe("error");
    }
    expect((await api.call("GET", `/v1/sessions/${id}`)).json.last_seq).toBe(0);
  });

  test("a thousand pushes at once are all answered", async () => {
    const session = await api.create({ id: newId() });
    using socket = await open();
    await socket.join(`tail:${session}`, { batch_size: 100 });
    const refs = Array.from({ length: 1_000 }, (_, n) =>
      socket.send(`tail:${session}`, "append", { event: eventBody(n + 1) }),
    );
    await Promise.all(refs.map((ref) => socket.replyTo(ref)));
    expect((await api.call("GET", `/v1/sessions/${session}`)).json.last_seq).toBe(1_000);
    await eventually("all come back", () => socket.seqs(`tail:${session}`).length === 1_000);
  });
});

const json = fc.json({ maxDepth: 3 });
const topics = fc.oneof(
  fc.constantFrom(
    "phoenix",
    "lifecycle",
    "tail:",
    "tail",
    "__proto__",
    "constructor",
    "valueOf:",
    "tail:nobody",
  ),
  fc.string(),
  fc.constant("tail:SESSION"),
);
const events = fc.oneof(
  fc.constantFrom(
    "phx_join",
    "phx_leave",
    "heartbeat",
    "append",
    "token",
    "phx_close",
    "phx_reply",
    "events",
  ),
  fc.string(),
);
const payloads = fc.oneof(
  json,
  fc.constantFrom(
    '{"cursor":0}',
    '{"cursor":-1}',
    '{"batch_size":1000}',
    '{"token":"x"}',
    '{"event":{}}',
    "{",
  ),
);
const refs = fc.oneof(fc.constantFrom("null", '"1"', '"2"', "3"), json);
const frames = fc.oneof(
  fc
    .tuple(refs, refs, topics, events, payloads)
    .map(
      ([joinRef, ref, topic, event, payload]) =>
        `[${joinRef},${ref},${JSON.stringify(topic)},${JSON.stringify(event)},${payload}]`,
    ),
  fc
    .tuple(refs, refs, topics, events, payloads)
    .map(
      ([joinRef, ref, topic, event, payload]) =>
        `{"join_ref":${joinRef},"ref":${ref},"topic":${JSON.stringify(topic)},"event":${JSON.stringify(event)},"payload":${payload}}`,
    ),
  json,
  fc.string(),
  fc.uint8Array({ maxLength: 64 }),
);

describe("whatever is sent", () => {
  test.each(["2.0.0", "1.0.0"])("serializer %s: the socket lives on and the server does too", async (vsn) => {
    await fc.assert(
      fc.asyncProperty(fc.array(frames, { minLength: 1, maxLength: 40 }), async (sent) => {
        using socket = await open(vsn);
        for (const frame of sent) {
          if (typeof frame === "string") socket.sendText(frame.replace("tail:SESSION", `tail:${id}`));
          else socket.socket.send(frame);
        }
        const ref = socket.send("phoenix", "heartbeat");
        await eventually("the heartbeat is answered", () =>
          socket.messages.some((message) => message.topic === "phoenix" && message.ref === ref),
        );
      }),
      { numRuns: 60 },
    );
    expect((await api.call("GET", "/v1/sessions")).status).toBe(200);
  });

  test("bytes that are no WebSocket frames end the connection and nothing else", async () => {
    const url = new URL(channelUrl(auth.url, api.token));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const socket = connect({ host: url.hostname, port: Number(url.port) });
        socket.on("error", () => undefined);
        await once(socket, "connect");
        socket.write(
          `GET ${url.pathname}${url.search} HTTP/1.1\r\nhost: ${url.host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n` +
            "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        );
        await once(socket, "data");
        socket.end(bytes);
        socket.resume();
        await within("the connection ends", once(socket, "close"));
      }),
      { numRuns: 40 },
    );
    using socket = await open();
    await lives(socket);
  });
});

describe("a client that asks and does not read", () => {
  test("is not read either: answers do not pile up", async () => {
    const session = await api.create({ id: newId() });
    await api.append(session, eventBody(1));
    const socket = await open();
    await socket.join(`tail:${session}`);
    const before = process.memoryUsage().arrayBuffers;
    socket.socket.pause();
    // Each of these is answered with the topic's own length; together they are 64 MB.
    const topic = `tail:${"y".repeat(30_000)}`;
    for (let n = 0; n < 2_000; n++) socket.send(topic, "nonsense");
    await eventually("the server stops reading", () => socket.socket.bufferedAmount > 1024 * 1024);
    let last = -1;
    await eventually("nothing moves any more", async () => {
      const now = socket.socket.bufferedAmount;
      const isStill = now === last;
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return isStill;
    });
    expect(last).toBeGreaterThan(20 * 1024 * 1024);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(200 * 1024 * 1024);
    // It reads again, and gets every answer.
    socket.socket.resume();
    await eventually("all are answered", () => socket.of(topic, "phx_reply").length === 2_000);
    socket[Symbol.dispose]();
  });
});
