import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectSocket, createServer } from "node:net";
import { compressionAlgorithms } from "@grpc/grpc-js";
import { LIMITS } from "@daybook/protocol";
import { SETTINGS } from "@daybook/server";
import { eventually, startServer, startServerProcess, type TestServer, within } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuthServer, newId } from "./support/auth-server.js";
import { plain, refusalOf, StatehouseClient, struct } from "./support/statehouse-client.js";

const SERVICE = "/statehouse.v1.StatehouseService";

describe("the port for gRPC", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store: "memory" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it("has a setting that takes a number or off", () => {
    const setting = SETTINGS.find(({ name }) => name === "grpcPort");
    expect(setting).toMatchObject({ env: "DAYBOOK_GRPC_PORT", flag: "--grpc-port <number>" });
    expect(setting?.parse("off")).toBe("off");
    expect(setting?.parse("0")).toBe(0);
    expect(() => setting?.parse("none")).toThrow();
    expect(() => setting?.parse("65536")).toThrow();
  });

  it("can be off", async () => {
    await using quiet = await startServer({ store: "memory", settings: { grpcPort: "off" } });
    expect(quiet.grpcAddress).toBe("");
    expect((await quiet.call("GET", "/v1/sessions")).status).toBe(200);
  });

  it("is left alone when nobody asked for it and it is taken: the server starts without", async () => {
    const holder = createServer();
    // Whoever else may have it, it is taken then as well.
    const held = await new Promise<boolean>((resolve) => {
      holder.once("error", () => resolve(false)).listen(50_051, "127.0.0.1", () => resolve(true));
    });
    await using second = await startServer({ store: "memory", settings: { grpcPort: undefined } });
    if (held) expect(second.grpcAddress).toBe("");
    expect((await second.call("GET", "/v1/sessions")).status).toBe(200);
    holder.close();
  });

  it("keeps a server from starting when it is taken, and nothing stays open then", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    await expect(startServer({ store: "memory", settings: { grpcPort: port } })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
    taken.close();
    await using again = await startServer({ store: "memory", settings: { grpcPort: port } });
    expect(again.grpcAddress).toBe(`127.0.0.1:${port}`);
  });

  it("survives what is no gRPC: HTTP/1.1, noise, a call without an authority, one that breaks off", async () => {
    const [host = "", port = ""] = server.grpcAddress.split(":");
    const url = `http://${server.grpcAddress}`;
    for (const text of [
      "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "\u0000\u0001noise\r\n\r\n",
      "PRI * HTTP/2.0\r\n",
    ]) {
      const socket = connectSocket(Number(port), host);
      socket.on("error", () => undefined);
      socket.resume().end(text);
      await within("the socket is closed", once(socket, "close"));
    }
    const session = connectHttp2(url);
    session.on("error", () => undefined);
    const call = (headers: Record<string, string>): Promise<unknown> => {
      const stream = session.request({ ":method": "POST", "content-type": "application/grpc", ...headers });
      stream.on("error", () => undefined);
      stream.end(Buffer.from([0, 0, 0, 0, 0]));
      return new Promise((resolve) => stream.once("close", resolve));
    };
    await within("an answer or an end", call({ ":path": `${SERVICE}/Health`, ":authority": "" }));
    await within("an answer or an end", call({ ":path": "/" }));
    await within("an answer or an end", call({ ":path": `${SERVICE}/Health`, "content-type": "text/plain" }));
    const broken = session.request({
      ":method": "POST",
      ":path": `${SERVICE}/Write`,
      "content-type": "application/grpc",
    });
    broken.on("error", () => undefined);
    broken.write(Buffer.from([0, 0, 0, 1, 0, 1]));
    broken.close(8);
    await within("the stream is closed", new Promise((resolve) => broken.once("close", resolve)));
    session.destroy();
    using client = new StatehouseClient(server.grpcAddress);
    expect((await client.call("health")).status).toBe("ok");
  });

  it("answers calls in whatever pieces they come, and says what is wrong with those that are none", async () => {
    const session = connectHttp2(`http://${server.grpcAddress}`);
    const statusOf = async (
      body: Buffer,
      headers: Record<string, string> = {},
      pieces = 1,
    ): Promise<string> => {
      const path = { ":method": "POST", ":path": `${SERVICE}/GetState`, te: "trailers" };
      const stream = session.request({ ...path, "content-type": "application/grpc", ...headers });
      let trailers: Record<string, unknown> = {};
      stream.on("response", (head: object) => (trailers = { ...trailers, ...head }));
      stream.on("trailers", (tail: object) => (trailers = { ...trailers, ...tail }));
      stream.on("error", () => undefined);
      stream.resume();
      for (let piece = 0; piece < pieces; piece++) {
        const size = Math.ceil(body.length / pieces);
        stream.write(body.subarray(piece * size, (piece + 1) * size));
        await new Promise((resolve) => setImmediate(resolve));
      }
      stream.end();
      await within("the call ends", once(stream, "close"));
      return String(trailers["grpc-status"]);
    };
    const framed = (message: Buffer, { flag = 0, length = message.length } = {}): Buffer => {
      const head = Buffer.from([flag, 0, 0, 0, 0]);
      head.writeUInt32BE(length, 1);
      return Buffer.concat([head, message]);
    };
    // Agent "a", key "k".
    const good = Buffer.from([0x12, 1, 0x61, 0x1a, 1, 0x6b]);
    expect(await statusOf(framed(good))).toBe("0");
    expect(await statusOf(framed(good), {}, 11)).toBe("0");
    expect(await statusOf(framed(good), { "grpc-encoding": "identity", "grpc-timeout": "20S" })).toBe("0");
    expect(await statusOf(framed(good), { "content-type": "application/grpc+proto" })).toBe("0");
    const large = Buffer.alloc(LIMITS.rpcRequestBytesMax + 1);
    for (const [status, body, headers] of [
      ["12", Buffer.alloc(0), {}],
      ["12", Buffer.concat([framed(good), framed(good)]), {}],
      ["3", framed(good, { length: 7 }), {}],
      ["3", framed(good, { length: 5 }), {}],
      ["3", framed(good, { flag: 1 }), {}],
      ["3", framed(Buffer.from([0xff])), {}],
      ["8", framed(large), {}],
      ["12", framed(good), { "grpc-encoding": "snappy" }],
      ["3", framed(good), { "grpc-timeout": "soon" }],
    ] as const) {
      const said = [body.length, headers];
      expect([said, await statusOf(body, headers)]).toEqual([said, status]);
    }
    session.destroy();
  });

  it("takes compressed requests, and refuses what they unpack to when it is too large", async () => {
    const gzip = {
      "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
      "grpc.max_send_message_length": -1,
    };
    using client = new StatehouseClient(server.grpcAddress, undefined, gzip);
    const txnId = await client.begin();
    const write = (length: number): Promise<string> =>
      refusalOf(
        client.call("write", { txnId, agentId: "a", key: "k", value: struct({ a: "x".repeat(length) }) }),
      );
    expect(await write(1_000_000)).toBe("OK");
    expect(await write(20_000_000)).toMatch(/^RESOURCE_EXHAUSTED|^INVALID_ARGUMENT/);
  });
});

describe("the same service on the main port", () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startServer({ store: "memory" });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const post = (rpc: string, type: string, body: string | Buffer): Promise<Response> =>
    fetch(`${server.url}${SERVICE}/${rpc}`, { method: "POST", headers: { "content-type": type }, body });
  const connect = async (rpc: string, request: object): Promise<Record<string, unknown>> =>
    (await (await post(rpc, "application/json", JSON.stringify(request))).json()) as Record<string, unknown>;

  it("speaks Connect in JSON, where a value is a plain object", async () => {
    const { txnId } = await connect("BeginTransaction", {});
    const value = { a: [1, { b: null }], é: "😀" };
    expect(await connect("Write", { txnId, agentId: "a", key: "k", value })).toEqual({});
    expect(await connect("Commit", { txnId })).toMatchObject({ commitTs: "1" });
    expect(await connect("GetState", { agentId: "a", key: "k" })).toEqual({
      ...{ value, version: "1", commitTs: "1", exists: true },
    });
    const refused = await post("Commit", "application/json", JSON.stringify({ txnId }));
    expect(refused.status).toBe(400);
    expect(refused.headers.get("daybook-error")).toBe("transaction_ended");
    expect(await refused.json()).toMatchObject({ code: "failed_precondition" });
    expect(refused.headers.get("x-content-type-options")).toBe("nosniff");
  });

  it("refuses bad JSON as the caller's fault", async () => {
    for (const body of ["{", '{"agentId":1}', "[]"]) {
      const answer = await post("GetState", "application/json", body);
      expect([answer.status, await answer.json()]).toMatchObject([400, { code: "invalid_argument" }]);
    }
    expect((await post("GetState", "text/plain", "x")).status).toBe(415);
    expect((await post("Nothing", "application/json", "{}")).status).toBe(404);
    expect((await fetch(`${server.url}${SERVICE}/Health`)).status).toBe(405);
  });

  it("refuses a value in JSON with a member __proto__, which would be lost, written or read", async () => {
    const operation = `{"agent_id":"odd","key":"k","value":{"a":[{"__proto__":{"b":1}}]}}`;
    await server.call("POST", "/v1/state/transactions", `{"operations":[${operation}]}`);
    const { txnId } = await connect("BeginTransaction", {});
    const write = (value: string): Promise<Response> =>
      post(
        "Write",
        "application/json",
        `{"txnId":"${String(txnId)}","agentId":"a","key":"p","value":${value}}`,
      );
    for (const refused of [
      await write('{"__proto__":1}'),
      await write('{"a":[{"\\u005f_prot\\u006F__":null}]}'),
      await post("GetState", "application/json", '{"agentId":"odd","key":"k"}'),
      await post("ScanPrefix", "application/json", '{"agentId":"odd"}'),
    ]) {
      expect(refused.headers.get("daybook-error")).toBe("invalid_state");
      expect([refused.status, await refused.json()]).toMatchObject([400, { code: "invalid_argument" }]);
    }
    const text = `{"a":"__proto__","__proto":["\\u005f_proto__"]}`;
    expect((await write(text)).status).toBe(200);
    await connect("Commit", { txnId });
    expect(await connect("GetState", { agentId: "a", key: "p" })).toMatchObject({
      value: JSON.parse(text) as unknown,
    });
  });

  it("refuses values in JSON that it refuses in binary", async () => {
    const { txnId } = await connect("BeginTransaction", {});
    const write = async (value: string): Promise<string> => {
      const body = `{"txnId":${JSON.stringify(txnId)},"agentId":"a","key":"json","value":${value}}`;
      const answer = await post("Write", "application/json", body);
      const { code = "ok" } = (await answer.json()) as { code?: string };
      return `${answer.status} ${code}`;
    };
    const levels = (count: number): string => `{"a":${"[".repeat(count - 1)}${"]".repeat(count - 1)}}`;
    for (const bad of ["[]", "1", "null", '"x"', "{", '{"a":NaN}', '{"a":1e999}', '{"a":[{"b":-1e999}]}'])
      expect([bad, await write(bad)]).toEqual([bad, "400 invalid_argument"]);
    for (const count of [LIMITS.jsonDepthMax + 1, 1_000, 1_000_000])
      expect([count, await write(levels(count))]).toEqual([count, "400 invalid_argument"]);
    expect(await write(levels(LIMITS.jsonDepthMax))).toBe("200 ok");
    expect(await connect("Commit", { txnId })).toHaveProperty("commitTs");
    const { text } = await server.call("GET", "/v1/state/default/a/json");
    expect(text).toContain(`"version":1,`);
    expect(text).toContain(`"value":${levels(LIMITS.jsonDepthMax)}`);
  });

  it("speaks gRPC-web, with a stream too", async () => {
    using client = new StatehouseClient(server.grpcAddress);
    for (let index = 0; index < 3; index++) await client.commit([["k", { index }]], { agentId: "web" });
    const message = Buffer.concat([Buffer.from([0x12, 3]), Buffer.from("web")]);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const answer = await post("Replay", "application/grpc-web+proto", Buffer.concat([head, message]));
    expect(answer.status).toBe(200);
    const frames: { flags: number; body: Buffer }[] = [];
    for (let rest = Buffer.from(await answer.arrayBuffer()); rest.length > 0;) {
      const length = rest.readUInt32BE(1);
      frames.push({ flags: rest[0] ?? 0, body: rest.subarray(5, 5 + length) });
      rest = rest.subarray(5 + length);
    }
    expect(frames.map(({ flags }) => flags)).toEqual([0, 0, 0, 0x80]);
    expect(frames.at(-1)?.body.toString()).toMatch(/grpc-status: 0/);
  });

  it("keeps other web pages out when there is no auth, and lets those in that are allowed", async () => {
    const call = (origin: string): Promise<Response> =>
      fetch(`${server.url}${SERVICE}/Health`, {
        ...{ method: "POST", body: "{}" },
        headers: { "content-type": "application/json", origin },
      });
    expect((await call("https://evil.example")).status).toBe(403);
    const allowed = await call("http://localhost:3000");
    expect(allowed.status).toBe(200);
    expect(allowed.headers.get("access-control-allow-origin")).toBe("http://localhost:3000");
  });
});

describe("tokens over gRPC", () => {
  it("let a caller see his own tenant's state only, and end a replay when they end", async () => {
    await using auth = await AuthServer.start();
    using one = new StatehouseClient(auth.server.grpcAddress, await auth.token());
    using other = new StatehouseClient(auth.server.grpcAddress, await auth.token({ tenant_id: "umbrella" }));
    const agentId = newId("agent");
    expect(await one.commit([["k", { mine: true }]], { agentId })).toBe(1);
    expect(await other.commit([["k", { theirs: true }]], { agentId })).toBe(1);
    expect(plain((await one.call("getState", { agentId, key: "k" })).value)).toEqual({ mine: true });
    expect(await other.replayAll({ agentId })).toHaveLength(1);
    const txnId = await one.begin();
    expect(await refusalOf(other.call("commit", { txnId }))).toBe("NOT_FOUND:transaction_not_found");
    expect(await refusalOf(other.call("abort", { txnId }))).toBe("OK");
    expect(await refusalOf(one.call("commit", { txnId }))).toBe("OK");
    const large = { a: "x".repeat(500_000) };
    for (let index = 0; index < 40; index++) await one.commit([["k", large]], { agentId });
    const ends = Math.floor(Date.now() / 1000) + 2;
    using brief = new StatehouseClient(auth.server.grpcAddress, await auth.token({ exp: ends }));
    const stream = brief.replay({ agentId });
    const failure = new Promise((resolve) => stream.once("error", resolve));
    stream.once("data", () => stream.pause());
    await eventually("the token's end", () => Date.now() > ends * 1000 + 50);
    stream.on("data", () => undefined);
    stream.resume();
    expect(await within("the stream's end", failure)).toMatchObject({ code: 16 });
  });

  it("are asked for before a body is read", async () => {
    await using auth = await AuthServer.start();
    const session = connectHttp2(`http://${auth.server.grpcAddress}`);
    const stream = session.request({
      ...{
        ":method": "POST",
        ":path": `${SERVICE}/Write`,
        "content-type": "application/grpc",
        te: "trailers",
      },
    });
    // No more than the beginning of it: the refusal does not wait for the rest.
    stream.write(Buffer.from([0, 0, 0x70, 0, 0]));
    const trailers = await within(
      "the refusal",
      Promise.race([once(stream, "trailers"), once(stream, "response")]).then(async ([first]) => {
        const headers = first as Record<string, unknown>;
        return "grpc-status" in headers
          ? headers
          : ((await once(stream, "trailers"))[0] as Record<string, unknown>);
      }),
    );
    expect(trailers["grpc-status"]).toBe("16");
    session.destroy();
  });

  it("count as requests", async () => {
    await using auth = await AuthServer.start({ rateLimitTenant: 5 });
    using client = new StatehouseClient(auth.server.grpcAddress, await auth.token());
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, () => refusalOf(client.call("getState", { agentId: "a", key: "k" }))),
    );
    expect(new Set(outcomes)).toEqual(new Set(["OK", "RESOURCE_EXHAUSTED:rate_limited"]));
  });
});

describe("a stop", () => {
  it("does not wait for idle connections, forgets what was only staged, and keeps what was committed", async () => {
    await using server = await startServerProcess({ settings: { drainSeconds: 30 } });
    using client = new StatehouseClient(server.grpcAddress);
    await client.commit([["k", { kept: true }]], { agentId: "a" });
    const txnId = await client.begin(60_000);
    await client.call("write", { txnId, agentId: "a", key: "staged", value: struct({}) });
    expect(await within("it exits", server.kill("SIGTERM"))).toEqual({ code: 0, signal: null });
    await using again = await startServerProcess({ dataDir: server.dataDir });
    using other = new StatehouseClient(again.grpcAddress);
    expect(plain((await other.call("getState", { agentId: "a", key: "k" })).value)).toEqual({ kept: true });
    expect((await other.call("listKeys", { agentId: "a" })).keys).toEqual(["k"]);
    expect(await refusalOf(other.call("commit", { txnId }))).toBe("NOT_FOUND:transaction_not_found");
    expect(await other.commit([])).toBe(2);
  });

  it("cuts a replay that nobody reads, once it has waited long enough", async () => {
    const server = await startServer({ store: "memory", settings: { drainSeconds: 0 } });
    using client = new StatehouseClient(server.grpcAddress);
    const large = { a: "x".repeat(500_000) };
    for (let index = 0; index < 20; index++) await client.commit([["k", large]], { agentId: "a" });
    const stream = client.replay({ agentId: "a" });
    const failure = new Promise((resolve) => stream.once("error", resolve));
    await once(stream, "data");
    stream.pause();
    await within("the server's end", server[Symbol.asyncDispose]());
    expect(await within("the stream's end", failure)).toMatchObject({ code: 14 });
  });

  it("leaves no word of any value in the log", async () => {
    await using server = await startServerProcess({ settings: { logLevel: "trace" } });
    using client = new StatehouseClient(server.grpcAddress);
    const secret = "a-secret-that-is-nowhere-else";
    await client.commit([["k", { secret }]], { agentId: "a" });
    const txnId = await client.begin();
    await client.call("write", { txnId, agentId: "a", key: "k", value: struct({ secret }), ifVersion: 99 });
    await refusalOf(client.call("commit", { txnId }));
    await client.replayAll({ agentId: "a" });
    await server.call("POST", "/v1/state/transactions", {
      operations: [{ agent_id: "a", key: secret, value: [secret] }],
    });
    await server.kill("SIGTERM");
    expect(server.output).toContain("refused");
    expect(server.output).not.toContain(secret);
  });
});
