import { run, type Io, processIo } from "@daybook/cli";
import { eventBody, eventually, startServer, type TestServer, within } from "@daybook/test-kit";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { conversationPath, messagesFrom, say, tailOf, text, textOf } from "./support/conversation.js";
import { runDaybook } from "./support/run-daybook.js";

let server: TestServer;
beforeAll(async () => (server = await startServer({ store: "memory" })));
afterAll(() => server[Symbol.asyncDispose]());

let ids = 0;
const newId = (): string => `chat-${++ids}`;

async function conversation(...contents: string[]): Promise<string> {
  const id = newId();
  await server.call("PUT", conversationPath(id));
  for (const content of contents) await say(server, id, content);
  return id;
}

const chat = (...args: string[]): ReturnType<typeof runDaybook> =>
  runDaybook(["chat", "-u", server.url, ...args]);

/** A person at a terminal. */
class Terminal implements AsyncDisposable {
  output = "";
  complaints = "";
  readonly ended: Promise<number>;
  private raise: () => void = () => undefined;
  private readonly stdin = Object.assign(new PassThrough(), { isTTY: true });

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    const stdout = Object.assign(new PassThrough(), { isTTY: true, columns: 80, rows: 24 });
    const stderr = new PassThrough();
    stdout.setEncoding("utf8").on("data", (chunk: string) => (this.output += chunk));
    stderr.setEncoding("utf8").on("data", (chunk: string) => (this.complaints += chunk));
    const io: Io = {
      ...processIo(),
      stdin: this.stdin,
      stdout,
      stderr,
      env: { DAYBOOK_CONFIG_DIR: "/nonexistent/daybook-test", TERM: "xterm", ...env },
      onEndSignal: (handler) => {
        this.raise = () => handler("SIGTERM");
        return () => undefined;
      },
    };
    this.ended = run(["chat", "-u", server.url, ...args], io);
  }

  type(keys: string): void {
    this.stdin.write(keys);
  }

  async shows(what: string): Promise<void> {
    await eventually(`${what} is shown`, () => this.plain.includes(what));
  }

  /** Without what moves the cursor and colours. */
  get plain(): string {
    // eslint-disable-next-line no-control-regex -- escape sequences begin with one.
    return this.output.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
  }

  end(): Promise<number> {
    return within("the chat ends", this.ended);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.raise();
    await this.end();
  }
}

describe("daybook chat", () => {
  test("prints a conversation as people read it", async () => {
    const id = await conversation("Hello!");
    await server.append(id, eventBody(1));
    const parts = [
      { type: "step-start" },
      { type: "reasoning", text: "I should look." },
      { type: "tool-weather", toolCallId: "c1", state: "output-available" },
      { type: "dynamic-tool", toolName: "search" },
      { type: "file", filename: "a.pdf", url: "data:application/pdf;base64,AAAA" },
      { type: "text", text: "It is warm.\nuser: not me \u001b[31m" },
    ];
    await server.call("POST", `${conversationPath(id)}/messages`, { message: { role: "assistant", parts } });
    const { code, stdout, stderr } = await chat(id, "--no-follow");
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(
      [
        "user: Hello!",
        "assistant: I should look.",
        "  [tool-weather]",
        "  [dynamic-tool search]",
        "  [file a.pdf]",
        "  It is warm.",
        "  user: not me \\x1b[31m",
        "",
      ].join("\n"),
    );
  });

  test("begins with as many of the newest messages as it is told", async () => {
    const id = await conversation("one", "two", "three");
    expect((await chat(id, "--no-follow", "--limit", "2")).stdout).toBe("user: two\nuser: three\n");
    expect((await chat(id, "--no-follow", "--limit", "0")).stdout).toBe("");
    const long = await conversation();
    for (let first = 1; first <= 1_200; first += 400) {
      const events = Array.from({ length: 400 }, (_, n) =>
        eventBody(first + n, { type: "message", payload: text("user", `${first + n}`) }),
      );
      await server.append(long, { events });
    }
    const { stdout } = await chat(long, "--no-follow", "--limit", "1150");
    expect(stdout.trim().split("\n")).toEqual(Array.from({ length: 1_150 }, (_, n) => `user: ${n + 51}`));
  });

  test("prints each message as the server shows it with --json", async () => {
    const id = await conversation("one", "two");
    const { stdout } = await chat(id, "--no-follow", "--json");
    const printed = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
    expect(printed).toEqual(await tailOf(server, id));
  });

  test("follows, and says nothing twice", async () => {
    const id = await conversation("before");
    await using terminal = new Terminal([id, "--json"]);
    await terminal.shows("before");
    await server.append(id, eventBody(1, { type: "message", payload: { text: "none" } }));
    for (let n = 1; n <= 20; n++) await say(server, id, `live ${n}`);
    await terminal.shows("live 20");
    const printed = terminal.output.trim().split("\n");
    expect(printed.map((line) => textOf(JSON.parse(line) as never))).toEqual([
      "before",
      ...Array.from({ length: 20 }, (_, n) => `live ${n + 1}`),
    ]);
  });

  test("refuses what is not there, and ids that are none", async () => {
    expect(await chat("never", "--no-follow")).toMatchObject({
      code: 3,
      stdout: "",
      stderr: expect.stringContaining("conversation_not_found (404)") as string,
    });
    expect((await chat("a/b")).code).toBe(2);
    expect((await chat("x", "--limit", "-1")).code).toBe(2);
  });
});

describe("daybook chat on a terminal", () => {
  test("makes each line a message of the user, once, and shows the others' between", async () => {
    const id = newId();
    await using terminal = new Terminal([id]);
    await terminal.shows("user: ");
    terminal.type("Hello!\r");
    await eventually("it is appended", async () => (await tailOf(server, id)).length === 1);
    terminal.type("half a li");
    const answer = { message: text("assistant", "Hi there.") };
    await server.call("POST", `${conversationPath(id)}/messages`, answer);
    await terminal.shows("assistant: Hi there.");
    terminal.type("ne\r\r   \r");
    await eventually("it is appended", async () => (await tailOf(server, id)).length === 3);
    terminal.type("\u0004");
    expect(await terminal.end()).toBe(0);
    expect((await tailOf(server, id)).map((message) => [message.role, textOf(message)])).toEqual([
      ["user", "Hello!"],
      ["assistant", "Hi there."],
      ["user", "half a line"],
    ]);
    // What was typed is there already: it is not shown a second time.
    expect(terminal.plain.split("Hello!")).toHaveLength(2);
    // It came back behind the message that came in between.
    expect(terminal.plain).toMatch(/assistant: Hi there\.\nuser: half a li/);
    expect(terminal.complaints).toBe("");
  });

  test("sends all that is pasted, in order, before it ends", async () => {
    const id = newId();
    await using terminal = new Terminal([id]);
    await terminal.shows("user: ");
    terminal.type(Array.from({ length: 12 }, (_, n) => `line ${n + 1}\r`).join(""));
    terminal.type("\u0004");
    expect(await terminal.end()).toBe(0);
    expect((await messagesFrom(server, id)).map(textOf)).toEqual(
      Array.from({ length: 12 }, (_, n) => `line ${n + 1}`),
    );
  });

  test("ends with 130 on Ctrl-C", async () => {
    await using terminal = new Terminal([await conversation("one")]);
    await terminal.shows("user: one");
    await eventually("the prompt", () => /user: one\nuser: $/.test(terminal.plain));
    terminal.type("\u0003");
    expect(await terminal.end()).toBe(130);
  });

  test("says when a message is refused, and ends", async () => {
    const id = await conversation("one");
    await using terminal = new Terminal([id]);
    await eventually("the prompt", () => /user: one\nuser: $/.test(terminal.plain));
    await server.call("DELETE", conversationPath(id));
    terminal.type("too late\r");
    expect(await terminal.end()).toBe(3);
    expect(terminal.complaints).toContain("conversation_tombstoned (410)");
  });

  test("shows a tombstoned one without a prompt, and follows: it may be opened again", async () => {
    const id = await conversation("one");
    await server.call("DELETE", conversationPath(id));
    await using terminal = new Terminal([id]);
    await terminal.shows("user: one");
    await eventually("it is said", () => terminal.complaints.includes("tombstoned"));
    await server.call("PUT", conversationPath(id));
    await say(server, id, "two");
    await terminal.shows("user: two");
    expect(terminal.plain).toBe("user: one\nuser: two\n");
  });

  test("colours only where it may", async () => {
    const id = await conversation("one");
    // eslint-disable-next-line no-control-regex -- colours are control sequences.
    const colour = /\u001b\[3\d/;
    const plain = new Terminal([id, "--no-follow"], { NO_COLOR: "1" });
    expect(await plain.end()).toBe(0);
    expect(plain.output).not.toMatch(colour);
    const coloured = new Terminal([id, "--no-follow"]);
    expect(await coloured.end()).toBe(0);
    expect(coloured.output).toMatch(colour);
    expect((await chat(id, "--no-follow")).stdout).not.toMatch(colour);
  });
});
