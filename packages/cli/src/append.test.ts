import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { runCli } from "./run-cli.test.support.js";
import { type Fault, StubServer } from "./stub-server.test.support.js";

function bodyOf(stub: StubServer, index: number): Record<string, unknown> {
  return JSON.parse(stub.requests[index]?.body ?? "") as Record<string, unknown>;
}

describe("daybook append", () => {
  it("prints the seq, and creates a session that is missing", async () => {
    await using stub = await StubServer.start();
    const first = await runCli(["-u", stub.url, "append", "ses/1".replace("/", "_"), "--text", "Hello"]);
    expect(first).toMatchObject({ exitCode: 0, stdout: "seq=1 deduped=false\n", stderr: "" });
    expect(stub.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      "POST /v1/sessions/ses_1/append",
      "POST /v1/sessions",
      "POST /v1/sessions/ses_1/append",
    ]);
    const second = await runCli(["append", "ses_1", "--text", "Hello", "-u", stub.url, "--json"]);
    expect(JSON.parse(second.stdout)).toMatchObject({ seq: 2, deduped: false, last_seq: 2 });
  });

  it("sends each flag as what it stands for, and payloads with their exact text", async () => {
    await using stub = await StubServer.start();
    stub.sessions.set("s", []);
    const flags = ["--payload", '{"n": 1.0}', "--type", "t", "--source", "web", "--metadata", '{"b":1e400}'];
    const more = ["--refs", '{"to_seq":0}', "--idempotency-key", "k", "--expected-seq", "0", "--user", "ann"];
    const { exitCode } = await runCli(["append", "s", ...flags, ...more, "-u", stub.url]);
    expect(exitCode).toBe(0);
    expect(stub.requests[0]?.body).toMatch(
      /^{"type":"t","actor":"user:ann","source":"web","metadata":{"b":1e400},"refs":{"to_seq":0},"idempotency_key":"k","payload":{"n": 1.0},"producer_id":"cli:[0-9a-f-]{36}","producer_seq":1,"expected_seq":0}$/,
    );
  });

  it("acts as agent:starcite-cli with chat.message unless told otherwise", async () => {
    await using stub = await StubServer.start();
    stub.sessions.set("s", []);
    await runCli(["append", "s", "--text", "--agent", "-u", stub.url]);
    await runCli(["append", "s", "--text", "x", "--agent", "drafter", "-u", stub.url]);
    expect(bodyOf(stub, 0)).toMatchObject({
      type: "chat.message",
      actor: "agent:starcite-cli",
      payload: { text: "--agent" },
    });
    expect(bodyOf(stub, 1)).toMatchObject({ actor: "agent:drafter" });
  });

  it("takes the whole actor for the name: agent:drafter is the agent drafter", async () => {
    await using stub = await StubServer.start();
    const at = ["--text", "x", "--base-url", stub.url];
    await runCli(["append", "s", "--agent", "agent:drafter", ...at]);
    await runCli(["append", "s", "--user", "user:alice", ...at]);
    await runCli(["append", "s", "--agent", "user:alice", ...at]);
    expect(stub.eventsOf("s").map(({ actor }) => actor)).toEqual([
      "agent:drafter",
      "user:alice",
      "agent:user:alice",
    ]);
    expect(await runCli(["append", "s", "--agent", "agent:", ...at])).toMatchObject({ exitCode: 2 });
  });

  it("sends the same pair again after a lost request, a lost answer, 429 and 503, and writes once", async () => {
    await using stub = await StubServer.start();
    stub.sessions.set("s", []);
    stub.faults = ["lost_request", "busy", "unavailable", "lost_answer"];
    const ran = await runCli(["append", "s", "--text", "x", "-u", stub.url]);
    expect(ran).toMatchObject({ exitCode: 0, stdout: "seq=1 deduped=true\n" });
    expect(ran.stderr).toContain("trying again");
    expect(stub.eventsOf("s")).toHaveLength(1);
    expect(new Set(stub.requests.map(({ body }) => body)).size).toBe(1);
  });

  it("gives up when patience ends: 4, and the server's word if it had one", async () => {
    await using stub = await StubServer.start();
    stub.sessions.set("s", []);
    stub.faults = Array.from({ length: 100 }, (): Fault => "unavailable");
    const busy = await runCli(["append", "s", "--text", "x", "-u", stub.url]);
    expect(busy.exitCode).toBe(4);
    expect(busy.stderr).toContain("\nstorage_unavailable (503): Away.\n");
    const gone = await runCli(["append", "s", "--text", "x", "-u", "http://127.0.0.1:1"]);
    expect(gone.exitCode).toBe(4);
    expect(gone.stderr).toContain("ECONNREFUSED");
    expect(gone.clock.sleeps.length).toBeGreaterThan(3);
  });

  it("passes on what the server refused, once: 3", async () => {
    await using stub = await StubServer.start();
    stub.intercept = () => ({ status: 409, body: { error: "expected_seq_conflict", message: "It is 7." } });
    const ran = await runCli(["append", "s", "--text", "x", "-u", stub.url]);
    expect(ran).toMatchObject({ exitCode: 3, stdout: "", stderr: "expected_seq_conflict (409): It is 7.\n" });
    expect(stub.requests).toHaveLength(1);
  });

  it("says so when whatever answers is no Daybook", async () => {
    await using stub = await StubServer.start();
    stub.intercept = () => ({ status: 404, body: "<h1>Not\nhere</h1>" });
    const ran = await runCli(["sessions", "get", "s", "-u", stub.url]);
    expect(ran.stderr).toBe("unexpected_answer (404): not an answer of Daybook: <h1>Not here</h1>\n");
  });

  it("says that a deleted session cannot be appended to", async () => {
    await using stub = await StubServer.start();
    stub.intercept = (_method, url) =>
      url === "/v1/sessions"
        ? { status: 409, body: { error: "session_deleted", message: "It was deleted." } }
        : { status: 404, body: { error: "session_not_found", message: "There is none." } };
    const ran = await runCli(["append", "s", "--text", "x", "-u", stub.url]);
    expect(ran).toMatchObject({ exitCode: 3, stderr: "session_deleted (409): It was deleted.\n" });
  });

  it.each([
    [["append"], "missing required argument"],
    [["append", "s"], "say what to append"],
    [["append", "s", "--text"], "argument missing"],
    [["append", "s", "--text", "a", "--payload", "{}"], "cannot be used with"],
    [["append", "s", "--agent", "a", "--user", "b", "--text", "x"], "cannot be used with"],
    [["append", "s", "--payload", "[1]"], "must be a JSON object"],
    [["append", "s", "--payload", "{"], "is not JSON"],
    [["append", "s", "--text", "x", "--expected-seq", "-1"], "whole number"],
    [["append", "s", "--text", "x", "--expected-seq", "1.5"], "whole number"],
    [["append", "s", "--text", "x", "--from-line", "2"], "go with --stdin"],
    [["append", "s", "--stdin", "--payload", "{}"], "about one event"],
    [["append", "..", "--text", "x"], 'must not be "." or ".."'],
    [["append", "a/b", "--text", "x"], "must not contain /"],
  ])("refuses %j as wrong usage, and sends nothing", async (args, why) => {
    await using stub = await StubServer.start();
    const ran = await runCli(["-u", stub.url, ...args]);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain(why);
    expect(stub.requests).toEqual([]);
  });
});

describe("daybook append --stdin", () => {
  const lines = (count: number): string =>
    Array.from({ length: count }, (_, index) => `{"type":"row","payload":{"n":${index + 1}.0}}\n`).join("");

  it("appends each line with rising numbers of one producer, in batches", async () => {
    await using stub = await StubServer.start();
    const ran = await runCli(["append", "s", "--stdin", "-u", stub.url], { stdin: lines(1200) });
    expect(ran).toMatchObject({ exitCode: 0, stdout: "events=1200 deduped=0 last_seq=1200\n", stderr: "" });
    const events = stub.eventsOf("s");
    expect(events.map(({ producer_seq }) => producer_seq)).toEqual(events.map((_, index) => index + 1));
    expect(new Set(events.map(({ producer_id }) => producer_id)).size).toBe(1);
    expect(stub.requests.length).toBeLessThan(20);
    expect(stub.requests.at(-1)?.body).toContain('"payload":{"n":1200.0}');
  });

  it.each([1, 2, 3, 4, 5])(
    "writes every line once whatever gets lost on the way (faults %i)",
    async (seed) => {
      await using stub = await StubServer.start();
      const kinds: Fault[] = ["lost_answer", "busy", "lost_request", "unavailable"];
      stub.faults = Array.from({ length: 8 }, (_, index) => kinds[(index * seed + seed) % kinds.length]);
      const ran = await runCli(["append", "s", "--stdin", "-u", stub.url], { stdin: lines(3000) });
      expect(ran.exitCode).toBe(0);
      expect(stub.eventsOf("s").map(({ payload }) => payload["n"])).toEqual(
        Array.from({ length: 3000 }, (_, index) => index + 1),
      );
    },
  );

  it("makes plain lines into texts, with what the options say", async () => {
    await using stub = await StubServer.start();
    const args = ["append", "s", "--stdin", "--text", "--agent", "app", "--type", "log", "-u", stub.url];
    await runCli(args, { stdin: 'one "quoted"\r\n\ntwo' });
    expect(stub.eventsOf("s").map(({ type, actor, payload }) => [type, actor, payload["text"]])).toEqual([
      ["log", "agent:app", 'one "quoted"'],
      ["log", "agent:app", "two"],
    ]);
  });

  it("lets a line say more than the options, its own producer pair too", async () => {
    await using stub = await StubServer.start();
    const line =
      '{"type":"a","actor":"user:x","payload":{},"producer_id":"p","producer_seq":9}\n{"payload":{}}\n';
    await runCli(["append", "s", "--stdin", "--user", "ann", "-u", stub.url], { stdin: line });
    expect(stub.eventsOf("s")).toMatchObject([
      { type: "a", actor: "user:x", producer_id: "p", producer_seq: 9 },
      { type: "chat.message", actor: "user:ann", producer_seq: 2 },
    ]);
  });

  it("stops at a bad line, says how far it came, and goes on from there without writing twice", async () => {
    await using stub = await StubServer.start();
    const input = [...lines(3).trim().split("\n"), "{oops", '{"payload":{"n":5}}'];
    const args = ["append", "s", "--stdin", "--producer-id", "load-7", "-u", stub.url];
    const failed = await runCli(args, { stdin: input.join("\n") });
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain("line 4 is not JSON");
    expect(failed.stderr).toContain(
      "lines up to 3 were written; go on with --producer-id load-7 --from-line 4",
    );
    input[3] = '{"payload":{"n":4}}';
    const again = await runCli([...args, "--from-line", "4"], { stdin: input.join("\n") });
    expect(again.stdout).toBe("events=2 deduped=0 last_seq=5\n");
    const whole = await runCli(args, { stdin: input.join("\n") });
    expect(whole.stdout).toBe("events=5 deduped=5 last_seq=5\n");
    expect(stub.eventsOf("s").map(({ payload }) => payload["n"])).toEqual([1, 2, 3, 4, 5]);
  });

  it("writes the good lines before the one the server refuses, and names its line", async () => {
    await using stub = await StubServer.start();
    stub.sessions.set("s", []);
    stub.intercept = (_method, url) => {
      const { events } = JSON.parse(stub.requests.at(-1)?.body ?? "{}") as { events?: { type: string }[] };
      const index = events?.findIndex(({ type }) => type === "bad") ?? -1;
      if (!url.endsWith("/append") || index === -1) return undefined;
      return {
        status: 400,
        body: { error: "invalid_event", message: `events[${index}].type is bad.`, index },
      };
    };
    const stdin =
      '{"type":"a","payload":{}}\n\n{"type":"b","payload":{}}\n{"type":"bad","payload":{}}\n{"payload":{}}';
    const ran = await runCli(["append", "s", "--stdin", "-u", stub.url], { stdin });
    expect(ran.exitCode).toBe(3);
    expect(ran.stderr).toContain("line 4: invalid_event (400): type is bad.");
    expect(ran.stderr).toContain("lines up to 3 were written");
    expect(stub.eventsOf("s").map(({ type }) => type)).toEqual(["a", "b"]);
  });

  it("refuses bytes that are no UTF-8 in JSON, and shows them as U+FFFD in plain text", async () => {
    await using stub = await StubServer.start();
    const stdin = Buffer.from([0x7b, 0xff, 0x7d, 0x0a]);
    const json = await runCli(["append", "s", "--stdin", "-u", stub.url], { stdin });
    expect(json).toMatchObject({ exitCode: 1 });
    expect(json.stderr).toContain("line 1 is not valid UTF-8");
    await runCli(["append", "s", "--stdin", "--text", "-u", stub.url], { stdin });
    expect(stub.eventsOf("s").map(({ payload }) => payload)).toEqual([{ text: "{\ufffd}" }]);
  });

  it("does not wait for another line once the server has refused", async () => {
    await using stub = await StubServer.start();
    stub.intercept = () => ({ status: 410, body: { error: "session_closed", message: "It is closed." } });
    const stdin = new PassThrough();
    stdin.write('{"payload":{}}\n');
    const ran = await runCli(["append", "s", "--stdin", "-u", stub.url], { stdin });
    expect(ran.exitCode).toBe(3);
    expect(ran.stderr).toContain("session_closed (410): It is closed.\nno line was written; go on with");
  });

  it("says on a signal how far it came: 130", async () => {
    await using stub = await StubServer.start();
    const stdin = new PassThrough();
    stdin.write('{"payload":{}}\n');
    const running = runCli(["append", "s", "--stdin", "-u", stub.url], {
      stdin,
      onError: (soFar, raise) => {
        if (soFar.text.includes("trying again")) setImmediate(() => raise("SIGINT"));
      },
    });
    while (stub.eventsOf("s").length === 0) await new Promise((resolve) => setImmediate(resolve));
    stub.intercept = () => ({ status: 503, body: { error: "storage_unavailable", message: "Away." } });
    stdin.write('{"payload":{}}\n');
    const ran = await running;
    expect(ran.exitCode).toBe(130);
    expect(ran.stderr).toMatch(
      /interrupted\nlines up to 1 were written; go on with --producer-id cli:\S+ --from-line 2\n$/,
    );
  });

  it("does nothing with empty input", async () => {
    await using stub = await StubServer.start();
    const ran = await runCli(["append", "s", "--stdin", "-u", stub.url]);
    expect(ran).toMatchObject({ exitCode: 0, stdout: "events=0 deduped=0 last_seq=0\n" });
  });
});
