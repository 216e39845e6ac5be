import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { describe, expect, it } from "vitest";
import { runCli, type RunOptions, type Ran } from "./run-cli.test.support.js";
import { type StubEvent, StubServer } from "./stub-server.test.support.js";

const event = (seq: number, actor = "agent:a"): StubEvent => ({
  seq,
  type: "note",
  actor,
  producer_id: "p",
  producer_seq: seq,
  payload: { text: `text ${seq}` },
});

type Connection = (socket: WebSocket, cursor: number, request: IncomingMessage) => void;
type Scene = Connection | { status: number; body: unknown };

/** Each connection plays the next scene. */
async function startTails(scenes: Scene[]): Promise<{ stub: StubServer; urls: string[] }> {
  const stub = await StubServer.start();
  const sockets = new WebSocketServer({ noServer: true });
  const urls: string[] = [];
  stub.http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    urls.push(request.url ?? "");
    const scene = scenes.shift();
    if (typeof scene === "function") {
      const cursor = Number(new URL(request.url ?? "", "http://stub").searchParams.get("cursor"));
      sockets.handleUpgrade(request, socket, head, (webSocket) => scene(webSocket, cursor, request));
      return;
    }
    const { status, body } = scene ?? {
      status: 410,
      body: { error: "session_closed", message: "No more scenes." },
    };
    const text = JSON.stringify(body);
    socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`);
  });
  return { stub, urls };
}

const sendFrom = (last: number, then: (socket: WebSocket) => void): Connection => {
  return (socket, cursor) => {
    for (let seq = cursor + 1; seq <= last; seq++) socket.send(JSON.stringify(event(seq)));
    then(socket);
  };
};

async function tail(stub: StubServer, args: string[], options: RunOptions = {}): Promise<Ran> {
  return runCli(["tail", "s", "-u", stub.url, ...args], options);
}

describe("daybook tail", () => {
  it("shows events from the cursor on, and stops after --limit", async () => {
    const { stub, urls } = await startTails([sendFrom(9, () => undefined)]);
    await using _ = stub;
    const ran = await tail(stub, ["--cursor", "2", "--limit", "3", "--agent", "a"]);
    expect(ran).toMatchObject({ exitCode: 0, stdout: "[a] text 3\n[a] text 4\n[a] text 5\n", stderr: "" });
    expect(urls).toEqual(["/v1/sessions/s/tail?cursor=2&agent=a"]);
  });

  it("goes on from its own cursor when the connection breaks, without a gap or a repetition", async () => {
    const { stub, urls } = await startTails([
      sendFrom(3, (socket) => socket.close(1012)),
      { status: 503, body: { error: "shutting_down", message: "Later." } },
      sendFrom(5, (socket) => socket.terminate()),
      sendFrom(5, (socket) => socket.close(1001, "server_draining")),
      sendFrom(9, () => undefined),
    ]);
    await using _ = stub;
    const ran = await tail(stub, ["--limit", "9", "--json"]);
    expect(ran.exitCode).toBe(0);
    const lines = ran.stdout.trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as StubEvent).seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(urls.map((url) => /cursor=(\d+)/.exec(url)?.[1])).toEqual(["0", "3", "3", "5", "5"]);
    expect(ran.stderr).toContain("going on from cursor 3");
    // The third failure in a row waits longer than the first: the outage, not the connection, is counted.
    expect(ran.clock.sleeps[0]).toBeLessThan(ran.clock.sleeps[1] ?? 0);
  });

  it("prints each event exactly as it came, on one line", async () => {
    const text =
      '{ "seq": 1,\n "cursor":1,"type":"t","actor":"agent:a","payload":{"n":1.0, "big":12345678901234567890}}';
    const { stub } = await startTails([(socket) => socket.send(text)]);
    await using _ = stub;
    const ran = await tail(stub, ["--limit", "1", "--json"]);
    expect(ran.stdout).toBe(`${text.replace("\n", " ")}\n`);
  });

  it.each([
    { code: 4001, reason: "token_expired", shown: "token_expired (4001): " },
    { code: 4001, reason: "token_invalid", shown: "token_invalid (4001): " },
    { code: 4004, reason: "session_deleted", shown: "session_deleted (4004): " },
  ])("ends with 3 when the server closes with $code $reason", async ({ code, reason, shown }) => {
    const { stub, urls } = await startTails([sendFrom(1, (socket) => socket.close(code, reason))]);
    await using _ = stub;
    const ran = await tail(stub, []);
    expect(ran).toMatchObject({ exitCode: 3, stdout: "[a] text 1\n" });
    expect(ran.stderr).toContain(shown);
    expect(urls).toHaveLength(1);
  });

  it.each([401, 403, 404, 400])("ends with 3 when the upgrade is refused with %i", async (status) => {
    const { stub } = await startTails([{ status, body: { error: "some_code", message: "Some words." } }]);
    await using _ = stub;
    expect(await tail(stub, [])).toMatchObject({
      exitCode: 3,
      stderr: `some_code (${status}): Some words.\n`,
    });
  });

  it("ends with 4 when nobody answers from the start", async () => {
    const ran = await runCli(["tail", "s", "-u", "http://127.0.0.1:1"]);
    expect(ran.exitCode).toBe(4);
    expect(ran.stderr).toContain("ECONNREFUSED");
  });

  it("sends the token in the header, not in the address", async () => {
    let seen: string | undefined;
    const { stub, urls } = await startTails([
      (socket, _cursor, request) => {
        seen = request.headers.authorization;
        socket.send(JSON.stringify(event(1)));
      },
    ]);
    await using _ = stub;
    await tail(stub, ["--limit", "1", "-k", "secret"]);
    expect(seen).toBe("Bearer secret");
    expect(urls[0]).not.toContain("secret");
  });

  it("does not smooth over a tail that skips", async () => {
    const { stub } = await startTails([
      (socket) => [1, 3].forEach((seq) => socket.send(JSON.stringify(event(seq)))),
    ]);
    await using _ = stub;
    const ran = await tail(stub, []);
    expect(ran).toMatchObject({
      exitCode: 1,
      stderr: "daybook: the tail is broken: after cursor 1 came seq 3\n",
    });
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("ends on %s with %i", async (signal, exitCode) => {
    const { stub } = await startTails([sendFrom(1, () => undefined)]);
    await using _ = stub;
    const ran = await tail(stub, [], { onOutput: (_soFar, raise) => setImmediate(() => raise(signal)) });
    expect(ran).toMatchObject({ exitCode, stdout: "[a] text 1\n", stderr: "" });
  });
});

describe("daybook tail --no-follow", () => {
  it("shows what is there at the start, of one agent if asked", async () => {
    await using stub = await StubServer.start();
    const actors = ["agent:a", "agent:b", "user:a"];
    stub.sessions.set(
      "s",
      Array.from({ length: 2500 }, (_, index) => event(index + 1, actors[index % 3])),
    );
    const all = await tail(stub, ["--no-follow"]);
    expect(all.stdout.split("\n")).toHaveLength(2501);
    const some = await tail(stub, ["--no-follow", "--agent", "b", "--cursor", "2490"]);
    expect(some.stdout).toBe("[b] text 2492\n[b] text 2495\n[b] text 2498\n");
    const same = await tail(stub, ["--no-follow", "--agent", "agent:b", "--cursor", "2490"]);
    expect(same.stdout).toBe(some.stdout);
    const few = await tail(stub, ["--no-follow", "--limit", "2"]);
    expect(few.stdout).toBe("[a] text 1\n[b] text 2\n");
  });

  it("refuses a cursor beyond the end as the server would", async () => {
    await using stub = await StubServer.start();
    stub.sessions.set("s", [event(1)]);
    expect(await tail(stub, ["--no-follow", "--cursor", "1"])).toMatchObject({ exitCode: 0, stdout: "" });
    const ran = await tail(stub, ["--no-follow", "--cursor", "2"]);
    expect(ran).toMatchObject({ exitCode: 3 });
    expect(ran.stderr).toMatch(/^invalid_cursor \(400\): /);
  });
});
