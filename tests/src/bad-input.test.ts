import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventBody, startServer, type TestServer, within } from "@daybook/test-kit";
import { parseAnswer, type RawAnswer, RawConnection, rawRequest, requestText } from "./support/raw-http.js";

/** Whatever comes in: a 4xx with a code of the table that says what was wrong; no crash, nothing written. */
describe("bad input", () => {
  let server: TestServer;
  let id: string;
  beforeAll(async () => {
    server = await startServer({ store: "memory", settings: { requestSeconds: 1 } });
    id = await server.create({ id: "good" });
  });
  // Whatever came before: the server lives, and nothing of it was written.
  afterAll(async () => {
    expect((await server.call("GET", `/v1/sessions/${id}`)).json.last_seq).toBe(0);
    expect((await server.call("GET", "/v1/sessions?archived=all")).json.sessions).toHaveLength(1);
    await server[Symbol.asyncDispose]();
  });

  const appendRefusal = async (body: unknown): Promise<[number, string, string]> => {
    const { status, json } = await server.append(id, body);
    return [status, json.error, json.message];
  };

  describe("in the body of an append", () => {
    test.each([
      ["nothing", ""],
      ["an empty object", "{}"],
      ["cut off", '{"type":"t","payl'],
      ["two values", '{"type":"t"} {}'],
      ["a comment", '{"type":"t"/*x*/}'],
      ["a trailing comma", '{"type":"t",}'],
      ["single quotes", "{'type':'t'}"],
      ["NaN", '{"type":"t","payload":{"n":NaN},"producer_id":"p","producer_seq":1}'],
      ["a leading zero", '{"type":"t","payload":{"n":01},"producer_id":"p","producer_seq":1}'],
      ["a bare control character", '{"type":"t\u0001","payload":{},"producer_id":"p","producer_seq":1}'],
      ["a byte order mark", '\ufeff{"type":"t","payload":{},"producer_id":"p","producer_seq":1}'],
      ["a list", "[]"],
      ["a text", '"x"'],
      ["null", "null"],
    ])("%s is invalid_event", async (_what, body) => {
      expect((await appendRefusal(body)).slice(0, 2)).toEqual([400, "invalid_event"]);
    });

    test.each([
      ["type", undefined, "invalid_event"],
      ["type", null, "invalid_event"],
      ["type", "", "invalid_event"],
      ["type", 1, "invalid_event"],
      ["type", "a\u0000b", "invalid_event"],
      ["type", "a\nb", "invalid_event"],
      ["payload", undefined, "invalid_event"],
      ["payload", null, "invalid_event"],
      ["payload", [], "invalid_event"],
      ["payload", "text", "invalid_event"],
      ["payload", 1, "invalid_event"],
      ["payload", true, "invalid_event"],
      ["producer_id", undefined, "invalid_event"],
      ["producer_id", "", "invalid_event"],
      ["producer_id", 7, "invalid_event"],
      ["producer_id", "a\u007fb", "invalid_event"],
      ["producer_seq", undefined, "invalid_event"],
      ["producer_seq", 0, "invalid_event"],
      ["producer_seq", -1, "invalid_event"],
      ["producer_seq", 1.5, "invalid_event"],
      ["producer_seq", "1", "invalid_event"],
      ["producer_seq", null, "invalid_event"],
      ["actor", "", "invalid_event"],
      ["actor", null, "invalid_event"],
      ["actor", 1, "invalid_event"],
      ["actor", "agent:\u0007", "invalid_event"],
      ["source", "", "invalid_event"],
      ["source", null, "invalid_event"],
      ["source", {}, "invalid_event"],
      ["idempotency_key", 1, "invalid_event"],
      ["idempotency_key", {}, "invalid_event"],
      ["expected_seq", -1, "invalid_event"],
      ["expected_seq", "0", "invalid_event"],
      ["expected_seq", 0.5, "invalid_event"],
      ["expected_seq", null, "invalid_event"],
      ["metadata", [], "invalid_metadata"],
      ["metadata", "x", "invalid_metadata"],
      ["metadata", null, "invalid_metadata"],
      ["refs", [], "invalid_refs"],
      ["refs", null, "invalid_refs"],
      ["refs", { to_seq: -1 }, "invalid_refs"],
      ["refs", { to_seq: "1" }, "invalid_refs"],
      ["refs", { to_seq: 1.5 }, "invalid_refs"],
      ["refs", { step: -1 }, "invalid_refs"],
      ["refs", { step: null }, "invalid_refs"],
      ["refs", { request_id: 1 }, "invalid_refs"],
      ["refs", { sequence_id: {} }, "invalid_refs"],
      ["state", [], "invalid_event"],
      ["state", null, "invalid_event"],
      ["state", { set: [] }, "invalid_event"],
      ["events", {}, "invalid_event"],
      ["events", null, "invalid_event"],
      ["events", [null], "invalid_event"],
      ["events", [[]], "invalid_event"],
    ])("%s as %j is refused, and the message names it", async (member, value, code) => {
      const [status, error, message] = await appendRefusal(eventBody(1, { [member]: value }));
      expect([status, error]).toEqual([400, code]);
      expect(message).toContain(member);
    });

    test("whole numbers beyond 2^53 are refused where a whole number is asked for", async () => {
      for (const member of ["producer_seq", "expected_seq"])
        for (const number of ["9007199254740992", "1e300", "1e999"]) {
          const body = `{"type":"t","payload":{},"producer_id":"p","producer_seq":1,"${member}x":0}`
            .replace(/"producer_seq":1,/, member === "producer_seq" ? "" : '"producer_seq":1,')
            .replace(`"${member}x":0`, `"${member}":${number}`);
          expect((await appendRefusal(body)).slice(0, 2)).toEqual([400, "invalid_event"]);
        }
      const refs =
        '{"type":"t","payload":{},"producer_id":"p","producer_seq":1,"refs":{"step":9007199254740992}}';
      expect((await appendRefusal(refs)).slice(0, 2)).toEqual([400, "invalid_refs"]);
    });

    test.each([
      ['{"type":"t","type":"t","payload":{},"producer_id":"p","producer_seq":1}', "invalid_event"],
      ['{"type":"t","payload":{"a":1,"a":1},"producer_id":"p","producer_seq":1}', "invalid_event"],
      [
        '{"type":"t","payload":{"a":[{"b":1,"\\u0062":2}]},"producer_id":"p","producer_seq":1}',
        "invalid_event",
      ],
      [
        '{"type":"t","payload":{},"producer_id":"p","producer_seq":1,"metadata":{"m":1,"m":2}}',
        "invalid_metadata",
      ],
      [
        '{"type":"t","payload":{},"producer_id":"p","producer_seq":1,"refs":{"step":1,"step":1}}',
        "invalid_refs",
      ],
      ['{"type":"t","payload":{},"producer_id":"p","producer_seq":1,"x":{"y":1,"y":2}}', "invalid_event"],
      [
        '{"type":"t","payload":{"__proto__":1,"__proto__":2},"producer_id":"p","producer_seq":1}',
        "invalid_event",
      ],
    ])("a member given twice is refused: %s", async (body, code) => {
      expect((await appendRefusal(body)).slice(0, 2)).toEqual([400, code]);
    });

    test.each([
      ["a lone byte", [0xff]],
      ["an overlong slash", [0xc0, 0xaf]],
      ["a surrogate", [0xed, 0xa0, 0x80]],
      ["a cut off character", [0xe2, 0x82]],
      ["beyond Unicode", [0xf4, 0x90, 0x80, 0x80]],
    ])("invalid UTF-8 is refused: %s", async (_what, bytes) => {
      const body = Buffer.concat([
        Buffer.from('{"type":"t","payload":{"x":"'),
        Buffer.from(bytes),
        Buffer.from('"},"producer_id":"p","producer_seq":1}'),
      ]);
      expect(await appendRefusal(body)).toEqual([400, "invalid_event", expect.stringContaining("UTF-8")]);
    });

    test.each([
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data",
      "application/xml",
      "json",
      "",
    ])("content type %j is 415", async (type) => {
      const { status, json } = await server.call(
        "POST",
        `/v1/sessions/${id}/append`,
        JSON.stringify(eventBody(1)),
        {
          headers: { "content-type": type },
        },
      );
      expect([status, json.error]).toEqual([415, "unsupported_media_type"]);
    });

    test.each(["gzip", "br", "deflate", "x"])(
      "content encoding %s is 415: bodies are read as they are",
      async (encoding) => {
        const headers = { "content-encoding": encoding };
        const body = JSON.stringify(eventBody(1));
        const { status, json } = await server.call("POST", `/v1/sessions/${id}/append`, body, { headers });
        expect([status, json.error]).toEqual([415, "unsupported_media_type"]);
      },
    );

    test("a name that is no well-formed Unicode is refused", async () => {
      const lone = String.raw`{"type":"\ud800","payload":{},"producer_id":"p","producer_seq":1}`;
      expect((await appendRefusal(lone)).slice(0, 2)).toEqual([400, "invalid_event"]);
    });

    test("nothing of a refused payload reaches any prototype", async () => {
      await appendRefusal('{"__proto__":{"type":"t","payload":{},"producer_id":"p","producer_seq":1}}');
      expect((await appendRefusal('{"constructor":{"prototype":{"type":"t"}}}'))[0]).toBe(400);
      expect(({} as Record<string, unknown>).type).toBeUndefined();
    });
  });

  describe("in sessions", () => {
    test.each([
      ["POST", "/v1/sessions", '{"id":', "invalid_session"],
      ["POST", "/v1/sessions", "[]", "invalid_session"],
      ["POST", "/v1/sessions", '{"id":1}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":null}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":""}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":"."}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":".."}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":"a/b"}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":"a\\u0000b"}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":"a\\nb"}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":"\\u0085"}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"id":"\\ud800"}', "invalid_session_id"],
      ["POST", "/v1/sessions", '{"title":1}', "invalid_session"],
      ["POST", "/v1/sessions", '{"title":"a","title":"b"}', "invalid_session"],
      ["POST", "/v1/sessions", '{"metadata":[]}', "invalid_metadata"],
      ["POST", "/v1/sessions", '{"metadata":null}', "invalid_metadata"],
      ["POST", "/v1/sessions", '{"metadata":"x"}', "invalid_metadata"],
      ["POST", "/v1/sessions", '{"metadata":{"a":1,"a":2}}', "invalid_metadata"],
      ["PATCH", "/v1/sessions/good", '{"title":1}', "invalid_session"],
      ["PATCH", "/v1/sessions/good", '{"title":"x","expected_version":"1"}', "invalid_session"],
      ["PATCH", "/v1/sessions/good", '{"title":"x","expected_version":0}', "invalid_session"],
      ["PATCH", "/v1/sessions/good", '{"title":"x","expected_version":1.5}', "invalid_session"],
      ["PATCH", "/v1/sessions/good", '{"metadata":[]}', "invalid_metadata"],
      ["PATCH", "/v1/sessions/good", "[]", "invalid_session"],
      ["PATCH", "/v1/sessions/good", '{"title":', "invalid_session"],
      ["POST", "/v1/sessions/good/archive", '{"a":', "invalid_session"],
      ["POST", "/v1/sessions/good/archive", "[]", "invalid_session"],
      ["POST", "/v1/sessions/good/unarchive", "null", "invalid_session"],
    ])("%s %s %s is refused with %s", async (method, path, body, code) => {
      const { status, json } = await server.call(method, path, body);
      expect([status, json.error]).toEqual([400, code]);
    });
  });

  describe("in the path", () => {
    const raw = async (line: string, headers: Record<string, string> = {}): Promise<[number, string]> => {
      const { status, body } = await rawRequest(server.url, requestText(server.url, { line, headers }));
      return [status, (JSON.parse(body) as { error: string }).error];
    };

    test.each([
      "/v1/sessions/.",
      "/v1/sessions/..",
      "/v1/sessions/%2e%2e",
      "/v1/sessions/%2E",
      "/v1/sessions/../append",
      "/v1/sessions/a%2Fb",
      "/v1/sessions/%00",
      "/v1/sessions/a%0Ab",
      "/v1/sessions/%7F",
      "/v1/sessions/%C2%85",
      "/v1/sessions/%FF",
      "/v1/sessions/%C0%AF",
      "/v1/sessions/%ED%A0%80",
      "/v1/sessions/%",
      "/v1/sessions/%zz",
      "/v1/sessions/%E2%82",
    ])("GET %s is invalid_session_id", async (path) => {
      const method = path.endsWith("append") ? "POST" : "GET";
      expect(await raw(`${method} ${path}`)).toEqual([400, "invalid_session_id"]);
    });

    test("an unknown path is not_found, a method it does not have method_not_allowed", async () => {
      expect(await raw("GET /")).toEqual([404, "not_found"]);
      expect(await raw("GET /v1")).toEqual([404, "not_found"]);
      expect(await raw("GET /v1/sessions/good/nothing")).toEqual([404, "not_found"]);
      expect(await raw("PUT /v1/sessions/good")).toEqual([405, "method_not_allowed"]);
      expect(await raw("GET /v1/sessions/good/append")).toEqual([405, "method_not_allowed"]);
      const { headers } = await server.call("DELETE", "/v1/sessions");
      expect(headers.get("allow")?.split(", ").sort()).toEqual(["GET", "OPTIONS", "POST"]);
      const head = await fetch(`${server.url}/v1/sessions`, { method: "HEAD" });
      expect(head.status).toBe(405);
    });

    test("what is unknown is not echoed without bound", async () => {
      const { json } = await server.call("GET", `/${"y".repeat(9_000)}`);
      expect(json.message.length).toBeLessThan(500);
    });
  });

  describe("that is no HTTP", () => {
    const send = (...parts: (string | Uint8Array)[]): Promise<RawAnswer> => rawRequest(server.url, ...parts);
    const host = (): string => `Host: ${new URL(server.url).host}\r\n`;
    const error = ({ status, body }: RawAnswer): [number, string] => [
      status,
      (JSON.parse(body) as { error: string }).error,
    ];

    test.each([
      ["garbage", "\x00\x01\x02\x03\r\n\r\n"],
      ["another protocol", "SSH-2.0-OpenSSH_9.6\r\n"],
      ["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
      ["an unknown method", "BREW /pot HTTP/1.1\r\n"],
      ["an unknown version", "GET / HTTP/9.9\r\n"],
      ["a header without a colon", "GET / HTTP/1.1\r\nnonsense\r\n\r\n"],
      ["a space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n"],
      ["two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
      ["a negative length", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"],
      ["a length and chunks", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ])("%s is 400 invalid_request, as JSON", async (_what, text) => {
      expect(error(await send(Buffer.from(text, "latin1")))).toEqual([400, "invalid_request"]);
    });

    test("a bad chunk size in the middle of a body is cut off with 400", async () => {
      const head = `POST /v1/sessions/${id}/append HTTP/1.1\r\n${host()}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
      expect((await send(`${head}5\r\n{"typ\r\n`, "zz\r\n")).status).toBe(400);
    });

    test("headers over 16 KiB are 431", async () => {
      const text = `GET /v1/sessions HTTP/1.1\r\n${host()}X-Long: ${"x".repeat(40_000)}\r\n\r\n`;
      expect(error(await send(text))).toEqual([431, "headers_too_large"]);
    });

    test("no Host at all is refused", async () => {
      expect((await send("GET /v1/sessions HTTP/1.1\r\nConnection: close\r\n\r\n")).status).toBe(400);
      expect((await send("GET /v1/sessions HTTP/1.0\r\n\r\n")).status).toBe(403);
    });

    test("a body that says too much at once is refused before it is read", async () => {
      const head = `POST /v1/sessions/${id}/append HTTP/1.1\r\n${host()}Content-Type: application/json\r\nConnection: close\r\nContent-Length: 999999999999\r\n\r\n`;
      expect(error(await send(head, "{"))).toEqual([413, "event_too_large"]);
    });

    test("requests sent ahead on one connection are answered in order, and then a bad one", async () => {
      using connection = await RawConnection.open(server.url);
      const get = (path: string): string => `GET ${path} HTTP/1.1\r\n${host()}\r\n`;
      connection.write(get(`/v1/sessions/${id}`) + get("/v1/sessions/nobody"));
      await connection.shows("session_not_found");
      connection.write("nonsense\r\n\r\n");
      await within("the connection ends", connection.ended);
      const statuses = [...connection.text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
      expect(statuses).toEqual(["200", "404", "400"]);
    });
  });

  describe("that does not come", () => {
    const host = (): string => `Host: ${new URL(server.url).host}\r\n`;

    test("headers that never end are cut off with 408", async () => {
      using connection = await RawConnection.open(server.url);
      connection.write(`GET /v1/sessions HTTP/1.1\r\n${host()}X-Slow: `);
      await within("it is cut off", connection.ended);
      const { status, body } = parseAnswer(connection.text);
      expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([408, "request_timeout"]);
    });

    test("a body that trickles is cut off, and nothing of it is written", async () => {
      using connection = await RawConnection.open(server.url);
      const body = JSON.stringify(eventBody(1));
      connection.write(
        `POST /v1/sessions/${id}/append HTTP/1.1\r\n${host()}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      const trickle = setInterval(
        () => connection.socket.writable && connection.write(body.slice(0, 1)),
        100,
      );
      await within("it is cut off", connection.ended);
      clearInterval(trickle);
      expect(parseAnswer(connection.text).status).toBe(408);
      expect((await server.call("GET", `/v1/sessions/${id}`)).json.last_seq).toBe(0);
    });

    test("a connection that says nothing at all is cut off", async () => {
      using connection = await RawConnection.open(server.url);
      await within("it is cut off", connection.ended);
    });

    test("a body that ends early because the client left is no event", async () => {
      using connection = await RawConnection.open(server.url);
      connection.write(
        `POST /v1/sessions/${id}/append HTTP/1.1\r\n${host()}Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"type":`,
      );
      connection.socket.end();
      await within("it ends", connection.ended);
      expect((await server.call("GET", `/v1/sessions/${id}`)).json.last_seq).toBe(0);
    });
  });
});
