import { randomInt } from "node:crypto";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { OUTBOX_LIMITS } from "./outbox.js";
import { LINE_BYTES_MAX } from "./run-recorded.js";
import { runCli, type RunOptions, type Ran } from "./run-cli.test.support.js";
import { type Fault, type StubEvent, StubServer } from "./stub-server.test.support.js";

async function exec(
  stub: StubServer,
  script: string,
  options: RunOptions = {},
  flags: string[] = [],
): Promise<Ran> {
  const command = [process.execPath, "-e", script];
  return runCli(["exec", "s", "-u", stub.url, ...flags, "--", ...command], options);
}

const outputOf = (stub: StubServer, stream: string): unknown[] =>
  stub
    .eventsOf("s")
    .filter(({ type, payload }) => type === "exec.output" && payload["stream"] === stream)
    .map(({ payload }) => payload["line"]);

/** Once each, in order: what a run's own numbers prove. */
function expectWhole(events: readonly StubEvent[]): void {
  expect(events.map(({ producer_seq }) => producer_seq)).toEqual(events.map((_, index) => index + 1));
  expect(events.at(0)?.type).toBe("exec.started");
  expect(events.at(-1)?.type).toBe("exec.exited");
}

describe("daybook exec", () => {
  it("records start, lines and exit, shows the output, and exits as the command", async () => {
    await using stub = await StubServer.start();
    const ran = await exec(
      stub,
      "console.log('out'); console.error('err'); process.stdout.write('end'); process.exitCode = 3",
    );
    expect(ran).toMatchObject({ exitCode: 3, stdout: "out\nend", stderr: "err\n" });
    const events = stub.eventsOf("s");
    expectWhole(events);
    expect(events[0]?.payload).toMatchObject({ command: process.execPath, cwd: process.cwd() });
    expect(events[0]?.payload["pid"]).toBeTypeOf("number");
    expect(outputOf(stub, "stdout")).toEqual(["out", "end"]);
    expect(outputOf(stub, "stderr")).toEqual(["err"]);
    expect(events.at(-1)?.payload).toMatchObject({ code: 3, signal: null });
  });

  it("passes standard input through, and arguments as they are", async () => {
    await using stub = await StubServer.start();
    const ran = await runCli(["exec", "s", "-u", stub.url, "--", "cat", "--", "-"], { stdin: "in\nput" });
    expect(ran).toMatchObject({ exitCode: 0, stdout: "in\nput" });
    expect(stub.eventsOf("s")[0]?.payload["args"]).toEqual(["--", "-"]);
  });

  it("says who acts, and begins the types as asked", async () => {
    await using stub = await StubServer.start();
    await exec(stub, "1", {}, ["--as", "builder", "--type-prefix", "build"]);
    expect(stub.eventsOf("s").map(({ type, actor }) => [type, actor])).toEqual([
      ["build.started", "agent:builder"],
      ["build.exited", "agent:builder"],
    ]);
  });

  it.each([1, 2, 3, 4, 5, 6])("records every line once whatever gets lost on the way (%i)", async () => {
    await using stub = await StubServer.start();
    const kinds: (Fault | undefined)[] = ["busy", "unavailable", "lost_request", "lost_answer", undefined];
    stub.faults = Array.from({ length: 12 }, () => kinds[randomInt(kinds.length)]);
    const ran = await exec(stub, "for (let n = 0; n < 3000; n++) console.log('line ' + n)");
    expect(ran.exitCode).toBe(0);
    expect(outputOf(stub, "stdout")).toEqual(Array.from({ length: 3000 }, (_, n) => `line ${n}`));
    expectWhole(stub.eventsOf("s"));
  });

  it("sends one batch at a time, and a slow command's lines as they come", async () => {
    await using stub = await StubServer.start();
    const script =
      "let n = 0; const next = () => { console.log('line ' + n); if (++n < 5) process.stdin.once('data', next); else process.stdin.destroy() }; next()";
    const stdin = new PassThrough();
    const running = exec(stub, script, { stdin });
    for (let line = 0; line < 5; line++) {
      // The next line is only asked for once the one before is recorded.
      while (outputOf(stub, "stdout").length <= line) await new Promise((resolve) => setImmediate(resolve));
      stdin.write("go\n");
    }
    expect((await running).exitCode).toBe(0);
    expect(outputOf(stub, "stdout")).toHaveLength(5);
  });

  it("holds the command up, not the memory, while the server takes nothing", async () => {
    await using stub = await StubServer.start();
    let open: () => void = () => undefined;
    stub.gate = new Promise((resolve) => (open = resolve));
    const lines = 40_000;
    const queueBytesMax = OUTBOX_LIMITS.queueBytesMax;
    let shownBytes = 0;
    const onOutput: RunOptions["onOutput"] = ({ bytes }) => (shownBytes = bytes);
    const script = `for (let n = 0; n < ${lines}; n++) require('fs').writeSync(1, n + 'x'.repeat(1000) + '\\n')`;
    const running = exec(stub, script, { onOutput });
    // Until nothing has come for a while: the command stands still, with most of its output unwritten.
    for (let before = -1; before < shownBytes || shownBytes === 0;) {
      before = shownBytes;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    expect(shownBytes).toBeGreaterThan(queueBytesMax / 2);
    expect(shownBytes).toBeLessThan(queueBytesMax * 1.5);
    open();
    expect((await running).exitCode).toBe(0);
    expect(outputOf(stub, "stdout")).toHaveLength(lines);
    expectWhole(stub.eventsOf("s"));
  });

  it("cuts long lines into continued pieces, between characters", async () => {
    await using stub = await StubServer.start();
    const { stdout } = await exec(
      stub,
      `process.stdout.write('ä'.repeat(${LINE_BYTES_MAX}) + '\\nshort\\n')`,
    );
    const pieces = stub.eventsOf("s").filter(({ type }) => type === "exec.output");
    expect(pieces.map(({ payload }) => payload["continued"])).toEqual([true, undefined, undefined]);
    expect(pieces.map(({ payload }) => String(payload["line"])).join("")).toBe(
      "ä".repeat(LINE_BYTES_MAX) + "short",
    );
    expect(stdout).toHaveLength(LINE_BYTES_MAX + 7);
  });

  it("joins characters that came in two chunks, and shows stray bytes as U+FFFD", async () => {
    await using stub = await StubServer.start();
    const script =
      "const w = (...b) => require('fs').writeSync(1, Buffer.from(b)); w(0xe2, 0x82); setTimeout(() => w(0xac, 10, 0xff, 0x41, 0xe2, 10), 50)";
    await exec(stub, script);
    expect(outputOf(stub, "stdout")).toEqual(["€", "\ufffdA\ufffd"]);
  });

  it("exits with 127 and 126 for what cannot be run, and records that", async () => {
    await using stub = await StubServer.start();
    const missing = await runCli(["exec", "s", "-u", stub.url, "--", "no-such-command-here"]);
    expect(missing).toMatchObject({
      exitCode: 127,
      stderr: "daybook: no-such-command-here: command not found\n",
    });
    const folder = await runCli(["exec", "s", "-u", stub.url, "--", "/"]);
    expect(folder.exitCode).toBe(126);
    expect(stub.eventsOf("s").map(({ type, payload }) => [type, payload["code"]])).toEqual([
      ["exec.exited", 127],
      ["exec.exited", 126],
    ]);
  });

  it.each(["SIGINT", "SIGTERM"] as const)(
    "passes %s on, and exits as the command does then",
    async (signal) => {
      await using stub = await StubServer.start();
      const onOutput: RunOptions["onOutput"] = (soFar, raise) => {
        if (soFar.text === "ready\n") raise(signal);
      };
      const killed = await exec(stub, "console.log('ready'); setInterval(() => 1, 1000)", { onOutput });
      expect(killed.exitCode).toBe(signal === "SIGINT" ? 130 : 143);
      expect(stub.eventsOf("s").at(-1)?.payload).toMatchObject({ code: null, signal });
      const handler = `process.on('${signal}', () => process.exit(5)); console.log('ready'); setInterval(() => 1, 1000)`;
      expect((await exec(stub, handler, { onOutput })).exitCode).toBe(5);
    },
  );

  it("does not run what it cannot record", async () => {
    const ran = await runCli(["exec", "s", "-u", "http://127.0.0.1:1", "--", "echo", "ran"]);
    expect(ran).toMatchObject({ exitCode: 4, stdout: "" });
    await using stub = await StubServer.start();
    stub.intercept = () => ({ status: 409, body: { error: "session_deleted", message: "It was deleted." } });
    expect(await exec(stub, "console.log('ran')")).toMatchObject({ exitCode: 3, stdout: "" });
  });

  it("asks before it runs the command whether its events would be taken, and writes nothing by that", async () => {
    await using stub = await StubServer.start();
    stub.intercept = (_method, url, body) =>
      url.endsWith("/append") && body.includes('"actor":"agent:b"')
        ? { status: 400, body: { error: "invalid_event", message: "actor must be agent:a." } }
        : undefined;
    const refused = await exec(stub, "console.log('ran')", {}, ["--as", "agent:b"]);
    expect(refused).toMatchObject({ exitCode: 3, stdout: "" });
    expect(refused.stderr).toContain("invalid_event (400): actor must be agent:a.");
    expect(stub.eventsOf("s")).toEqual([]);
    expect(await exec(stub, "console.log('ran')", {}, ["--as", "agent:a"])).toMatchObject({ exitCode: 0 });
    expectWhole(stub.eventsOf("s"));
  });

  it("says what is wrong with a command line, and how to write it", async () => {
    const at = ["-u", "http://127.0.0.1:1"];
    const bare = await runCli(["exec", "s", ...at, "ls", "-l"]);
    expect([bare.exitCode, bare.stdout]).toEqual([2, ""]);
    expect(bare.stderr).toContain("daybook exec SESSION -- COMMAND");
    for (const actor of ["", "user:", ":x", "agent:"]) {
      const ran = await runCli(["exec", "s", ...at, "--as", actor, "--", "ls"]);
      expect([ran.exitCode, ran.stdout]).toEqual([2, ""]);
      expect(ran.stderr).toContain("It must be like agent:drafter.");
    }
  });

  it("lets the command run to its end when the server refuses half-way, and says so", async () => {
    await using stub = await StubServer.start();
    const refuse = (): { status: number; body: unknown } => ({
      status: 410,
      body: { error: "session_closed", message: "It is closed." },
    });
    const script = "for (let n = 0; n < 10; n++) console.log(n); process.exitCode = Number(process.argv[1])";
    // It was open when the command started.
    stub.intercept = (_method, url, body) =>
      url.endsWith("/append") && body.includes('"events"') ? refuse() : undefined;
    const good = await runCli(["exec", "s", "-u", stub.url, "--", process.execPath, "-e", script, "0"]);
    expect(good).toMatchObject({ exitCode: 3, stdout: "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n" });
    expect(good.stderr).toContain(
      "the record in s is incomplete from here on: session_closed (410): It is closed.",
    );
    const bad = await runCli(["exec", "s", "-u", stub.url, "--", process.execPath, "-e", script, "9"]);
    expect(bad.exitCode).toBe(9);
  });

  it("gives up after its patience, and on a signal when only the record is missing", async () => {
    await using stub = await StubServer.start();
    stub.intercept = (_method, url) =>
      url.endsWith("/append")
        ? { status: 503, body: { error: "storage_unavailable", message: "Away." } }
        : undefined;
    expect(await exec(stub, "1", {}, ["--patience", "20"])).toMatchObject({ exitCode: 4 });
    let insisting: NodeJS.Timeout | undefined;
    const onError: RunOptions["onError"] = (soFar, raise) => {
      // The first ones may still go to the command; the first after it has ended is meant.
      if (soFar.text.includes("trying again")) insisting ??= setInterval(() => raise("SIGTERM"), 50);
    };
    const stuck = await exec(stub, "1", { onError }, ["--patience", "1000000"]);
    clearInterval(insisting);
    expect(stuck.exitCode).toBe(143);
    expect(stuck.stderr).toContain("incomplete from here on: interrupted");
  });
});
