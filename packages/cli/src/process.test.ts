import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const BIN = fileURLToPath(new URL("../bin/daybook.js", import.meta.url));

interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

let home = "";
let server: Server;

const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env["PATH"],
  HOME: home,
  DAYBOOK_BASE_URL: server.url,
});

function start(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [BIN, ...args], { env: environment(), cwd: home, stdio: "pipe" });
  children.add(child);
  return child;
}

async function daybook(args: readonly string[], stdin = ""): Promise<Ran> {
  const child = start(args);
  child.stdin?.on("error", () => undefined).end(stdin);
  return endOf(child);
}

async function endOf(child: ChildProcess): Promise<Ran> {
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, stdout, stderr };
}

/** All that were started, so that a test that fails half-way leaves none behind. */
const children = new Set<ChildProcess>();

class Server {
  private constructor(
    readonly child: ChildProcess,
    readonly url: string,
    readonly dataDir: string,
    readonly port: number,
  ) {}

  static async start(dataDir: string, port = 0): Promise<Server> {
    const args = ["serve", "--port", String(port), "--ops-port", "0", "--data-dir", dataDir, "--json"];
    const env = { PATH: process.env["PATH"], HOME: home, DAYBOOK_LOG_LEVEL: "silent" };
    const child = spawn(process.execPath, [BIN, ...args], { env, stdio: ["ignore", "pipe", "inherit"] });
    children.add(child);
    for await (const line of createInterface({ input: child.stdout })) {
      const { url } = JSON.parse(line) as { url: string };
      return new Server(child, url, dataDir, Number(new URL(url).port));
    }
    throw new Error("the server did not start");
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const closed = once(this.child, "exit");
    this.child.kill(signal);
    return ((await closed) as [number | null])[0];
  }
}

/** Counts the lines a child shows, from now on; resolves once it has shown so many. */
function linesShown(child: ChildProcess): (lines: number) => Promise<void> {
  let shown = 0;
  child.stdout?.on("data", (text: string | Buffer) => (shown += String(text).split("\n").length - 1));
  return async (lines) => {
    while (shown < lines) await once(child.stdout ?? child, "data");
  };
}

function asModule(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

interface Stored {
  readonly seq: number;
  readonly type: string;
  readonly actor: string;
  readonly payload: Record<string, unknown>;
}

async function eventsOf(session: string): Promise<Stored[]> {
  const { stdout } = await daybook(["tail", session, "--no-follow", "--json"]);
  return stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Stored]));
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "daybook-cli-"));
  server = await Server.start(join(home, "data"));
});

afterAll(async () => {
  expect(await server.end("SIGTERM")).toBe(0);
  for (const child of children) child.kill("SIGKILL");
  await rm(home, { recursive: true, force: true });
});

describe("the daybook command", () => {
  it("creates, appends, shows, changes, archives and deletes", async () => {
    expect(
      await daybook(["create", "--id", "one", "--title", "One", "--metadata", '{"team":"legal"}']),
    ).toMatchObject({
      code: 0,
      stdout: "one\n",
      stderr: "",
    });
    const made = await daybook(["create"]);
    expect(made.stdout).toMatch(/^ses_\S+\n$/);
    expect(
      await daybook(["append", "one", "--agent", "drafter", "--text", "Drafting clause 4.2…"]),
    ).toMatchObject({
      code: 0,
      stdout: "seq=1 deduped=false\n",
    });
    const shown = await daybook(["tail", "one", "--no-follow"]);
    expect(shown.stdout).toBe("[drafter] Drafting clause 4.2…\n");
    const listed = await daybook(["sessions", "list", "--metadata", "team=legal", "--json"]);
    expect(JSON.parse(listed.stdout)).toMatchObject({
      sessions: [{ id: "one", last_seq: 1 }],
      next_cursor: null,
    });
    const changed = await daybook([
      "sessions",
      "patch",
      "one",
      "--clear-title",
      "--expected-version",
      "1",
      "--json",
    ]);
    expect(JSON.parse(changed.stdout)).toMatchObject({ title: null, version: 2 });
    expect((await daybook(["sessions", "archive", "one"])).stdout).toBe("one archived\n");
    expect((await daybook(["sessions", "list"])).stdout).not.toContain("one");
    expect((await daybook(["sessions", "list", "--archived", "archived"])).stdout).toContain("one");
    expect((await daybook(["sessions", "unarchive", "one"])).stdout).toBe("one unarchived\n");
    expect((await daybook(["sessions", "get", "one"])).stdout).toContain('metadata    {"team":"legal"}');
    expect((await daybook(["sessions", "delete", "one"])).stdout).toBe("one deleted\n");
    const gone = await daybook(["sessions", "get", "one"]);
    expect(gone.code).toBe(3);
    expect(gone.stderr).toMatch(/^session_not_found \(404\): .+\n$/);
  });

  it("forks a session, lists its forks, exports one whole, and deletes them with it", async () => {
    await daybook(["append", "root", "--stdin", "--text"], "1\n2\n3");
    expect(
      await daybook(["fork", "root", "--at", "2", "--id", "branch", "--title", "What if"]),
    ).toMatchObject({
      code: 0,
      stdout: "branch\n",
      stderr: "",
    });
    await daybook(["append", "branch", "--text", "other"]);
    expect((await eventsOf("branch")).map(({ payload }) => payload["text"])).toEqual(["1", "2", "other"]);
    expect((await daybook(["sessions", "get", "branch"])).stdout).toContain("forked from  root at 2\n");
    const whole = await daybook(["fork", "root", "--json"]);
    const { id } = JSON.parse(whole.stdout) as { id: string };
    expect(JSON.parse(whole.stdout)).toMatchObject({
      last_seq: 3,
      forked_from: { session_id: "root", seq: 3 },
    });
    const listed = await daybook(["sessions", "list", "--forked-from", "root", "--json"]);
    const { sessions } = JSON.parse(listed.stdout) as { sessions: { id: string }[] };
    expect(sessions.map((one) => one.id)).toEqual(["branch", id]);

    const exported = (await daybook(["export", "branch"])).stdout;
    expect(exported.trim().split("\n")).toHaveLength(4);
    expect((await daybook(["import", "--id", "copy"], exported)).stdout).toBe("copy events=3\n");
    // An import that broke off finds its own session again, although that is no fork.
    expect((await daybook(["import", "--id", "copy"], exported)).stdout).toBe("copy events=3\n");
    expect((await daybook(["sessions", "get", "copy"])).stdout).not.toContain("forked");

    const refused = await daybook(["sessions", "delete", "root", "--yes"]);
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/^session_has_forks \(409\): The session's events are shared by 2 forks/);
    expect((await daybook(["sessions", "delete", "root", "--cascade"])).stdout).toBe("root deleted\n");
    expect((await daybook(["sessions", "get", "branch"])).code).toBe(3);
    expect(await eventsOf("copy")).toHaveLength(3);
    expect((await daybook(["fork", "copy", "--at", "4"])).stderr).toMatch(
      /^invalid_cursor \(400\): at_seq is 4/,
    );
    expect((await daybook(["fork", "copy", "--at", "-1"])).code).toBe(2);
  });

  it("says what is wrong with a command line, with 2, and helps with 0", async () => {
    const wrong = await daybook(["apend", "x"]);
    expect(wrong).toMatchObject({ code: 2, stdout: "" });
    expect(wrong.stderr).toContain("Did you mean append?");
    const help = await daybook(["serve", "--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("--data-dir <folder>");
    expect(help.stdout.replace(/\s+/g, " ")).toContain("(default: 4000, env: DAYBOOK_PORT)");
    expect((await daybook(["serve", "--port", "x"])).code).toBe(2);
  });

  it("ends in silence when its reader has seen enough", async () => {
    const lines = Array.from({ length: 5000 }, (_, n) => `line ${n}`).join("\n");
    await daybook(["append", "long", "--stdin", "--text"], lines);
    const shell = `"${process.execPath}" "${BIN}" tail long --no-follow | head -n 1; exit \${PIPESTATUS[0]}`;
    const ran = await endOf(spawn("bash", ["-c", shell], { env: environment(), stdio: "pipe" }));
    expect(ran).toMatchObject({ code: 0, stdout: "[starcite-cli] line 0\n", stderr: "" });
  });

  it("follows across kill -9 and restart of the server, and ends on SIGINT with 130", async () => {
    const port = await freePort();
    const own = await Server.start(join(home, "follow"), port);
    const at = ["-u", own.url];
    await daybook(["append", "s", "--text", "1", ...at]);
    const child = start(["tail", "s", ...at]);
    const ended = endOf(child);
    const shown = new Promise<void>((resolve) => child.stdout?.once("data", () => resolve()));
    await shown;
    await own.end("SIGKILL");
    const again = await Server.start(join(home, "follow"), port);
    const second = new Promise<void>((resolve) => child.stdout?.once("data", () => resolve()));
    await daybook(["append", "s", "--text", "2", ...at]);
    await second;
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ code: 130, stdout: "[starcite-cli] 1\n[starcite-cli] 2\n" });
    expect(await again.end("SIGTERM")).toBe(0);
  });

  it("records a command through a kill -9 of the server: each line once, in order", async () => {
    const port = await freePort();
    let own = await Server.start(join(home, "exec"), port);
    const at = ["-u", own.url];
    const script =
      "let n = 0; const timer = setInterval(() => { for (let i = 0; i < 20; i++) console.log('line ' + n++);" +
      " if (n === 2000) { clearInterval(timer); process.exitCode = 7 } }, 30)";
    const child = start(["exec", "s", ...at, "--", process.execPath, "-e", script]);
    const ended = endOf(child);
    const shown = linesShown(child);
    // Counted from the start: however long a restart takes, the command comes so far.
    for (const lines of [200, 900]) {
      await shown(lines);
      await own.end("SIGKILL");
      own = await Server.start(join(home, "exec"), port);
    }
    const ran = await ended;
    expect(ran.code).toBe(7);
    const { stdout } = await daybook(["tail", "s", "--no-follow", "--json", ...at]);
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Stored);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(events.slice(1, -1).map(({ payload }) => payload["line"])).toEqual(
      Array.from({ length: 2000 }, (_, n) => `line ${n}`),
    );
    expect(events.at(-1)).toMatchObject({ type: "exec.exited", payload: { code: 7, signal: null } });
    expect(await own.end("SIGTERM")).toBe(0);
    expect(await daybook(["check", "--data-dir", join(home, "exec")])).toMatchObject({ code: 0 });
  });

  it("passes its standard input, SIGTERM and the exit code through exec", async () => {
    expect(await daybook(["exec", "e", "--", "cat"], "from stdin")).toMatchObject({
      code: 0,
      stdout: "from stdin",
    });
    const child = start([
      "exec",
      "e",
      "--",
      process.execPath,
      "-e",
      "console.log('up'); setInterval(() => 1, 1000)",
    ]);
    const ended = endOf(child);
    await once(child.stdout ?? child, "data");
    child.kill("SIGTERM");
    expect(await ended).toMatchObject({ code: 143, signal: null });
    expect((await eventsOf("e")).at(-1)?.payload).toMatchObject({ code: null, signal: "SIGTERM" });
  });

  it("exports and imports to the same bytes", async () => {
    const lines = [
      '{"type":"a","actor":"user:ann","payload":{"n": 1.0, "big": 12345678901234567890, "__proto__": {"x": "\\u00e4"}}}',
      '{"type":"b","actor":"agent:x","payload":{"text":"line\\nfeed"},"metadata":{"m":[1e400]},"refs":{"to_seq":1}}',
      '{"type":"c","payload":{},"idempotency_key":"k","source":"web"}',
    ];
    await daybook(["create", "--id", "kept", "--title", "Kept", "--metadata", '{"a": 1.50}']);
    await daybook(["append", "kept", "--stdin"], lines.join("\n"));
    await daybook(["append", "kept", "--payload", '{"spread":\n  true}']);
    await daybook(["sessions", "archive", "kept"]);
    const file = join(home, "kept.ndjson");
    expect(await daybook(["export", "kept", "-o", file])).toMatchObject({ code: 0, stdout: "" });
    expect((await readdir(home)).filter((name) => name.includes("partial"))).toEqual([]);
    const exported = await readFile(file, "utf8");
    expect(exported.trim().split("\n")).toHaveLength(5);
    expect(exported).toContain('{"n": 1.0, "big": 12345678901234567890, "__proto__": {"x": "\\u00e4"}}');

    const other = await Server.start(join(home, "other"));
    const at = ["-u", other.url];
    expect((await daybook(["import", file, ...at])).stdout).toBe("kept events=4\n");
    expect((await daybook(["export", "kept", ...at])).stdout).toBe(exported);
    expect(await daybook(["import", ...at], exported)).toMatchObject({ code: 0, stdout: "kept events=4\n" });
    expect((await daybook(["import", file, "--id", "copy", "--json", ...at])).stdout).toBe(
      '{"id":"copy","events":4}\n',
    );
    const copied = (await daybook(["export", "copy", ...at])).stdout;
    expect(copied.split("\n").slice(1)).toEqual(exported.split("\n").slice(1));
    await daybook(["create", "--id", "mine", ...at]);
    const clash = await daybook(["import", file, "--id", "mine", ...at]);
    expect(clash).toMatchObject({ code: 3, stdout: "" });
    const torn = await daybook(
      ["import", "--id", "torn", ...at],
      exported.split("\n").slice(0, 3).join("\n"),
    );
    expect(torn.code).toBe(1);
    expect(torn.stderr).toContain("after event 2 of 4");
    expect((await daybook(["import", ...at], "{}\n")).code).toBe(1);
    await other.end("SIGTERM");
  });

  it("checks, backs up while the server runs, restores, finds damage and repairs it", async () => {
    for (const text of ["marked", "second", "third"]) await daybook(["append", "safe", "--text", text]);
    const backup = join(home, "backup");
    expect(await daybook(["backup", backup, "--data-dir", server.dataDir])).toMatchObject({ code: 0 });
    const restored = join(home, "restored");
    expect(await daybook(["restore", backup, "--data-dir", restored])).toMatchObject({ code: 0 });
    const sound = await daybook(["check", "--data-dir", restored, "--json"]);
    expect(sound.code).toBe(0);
    expect(JSON.parse(sound.stdout)).toMatchObject({ problems: [] });
    const own = await Server.start(restored);
    const shown = await daybook(["tail", "safe", "--no-follow", "-u", own.url]);
    expect(shown.stdout).toBe("[starcite-cli] marked\n[starcite-cli] second\n[starcite-cli] third\n");
    const locked = await daybook(["check", "--data-dir", restored]);
    expect(locked.code).toBe(1);
    expect(locked.stderr).toMatch(/^daybook: locked: /);
    await own.end("SIGTERM");

    await damage(restored, "marked");
    const damaged = await daybook(["check", "--data-dir", restored]);
    expect(damaged.code).toBe(1);
    expect(damaged.stdout).toMatch(/damaged: 1 problem\n {2}\S+ at byte \d+: /);
    expect((await daybook(["repair", "--data-dir", restored])).code).toBe(1);
    expect(await daybook(["repair", "--accept-loss", "--data-dir", restored])).toMatchObject({ code: 0 });
    expect(await daybook(["check", "--data-dir", restored])).toMatchObject({ code: 0 });
    expect((await daybook(["check", "--data-dir", join(home, "nowhere")])).stderr).toContain(
      "there is no data folder",
    );
    for (const args of [["check"], ["repair"], ["backup", join(home, "other")]]) {
      const ran = await daybook([...args, "--data-dir", home]);
      expect([ran.code, ran.stderr]).toEqual([
        1,
        `daybook: ${home} is no data folder, it holds no log: name one with --data-dir\n`,
      ]);
    }
  });

  it("keeps its configuration in the home folder, unreadable for others", async () => {
    await daybook(["config", "set", "api-key", "k".repeat(20)]);
    const path = join(home, ".config", "daybook", "config.json");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const shown = await daybook(["config", "show", "--json"]);
    expect(JSON.parse(shown.stdout)).toMatchObject({
      endpoint: server.url,
      endpoint_from: "environment",
      api_key_from: "config",
      file: path,
    });
    await writeFile(path, "{}");
  });

  it("starts without what takes long to load: the server, a WebSocket, schemas", async () => {
    const hook = `export async function load(url, context, next) { process._rawDebug(url); return next(url, context); }`;
    const register = `import { register } from "node:module"; register(${JSON.stringify(asModule(hook))});`;
    const args = ["--import", asModule(register), BIN, "--version"];
    const child = spawn(process.execPath, args, { env: environment(), stdio: "pipe" });
    const { code, stderr } = await endOf(child);
    const loaded = stderr.split("\n").filter((line) => line.startsWith("file:"));
    expect(code).toBe(0);
    // Above each part of a bundle stands the file that it comes from.
    const texts = await Promise.all(loaded.map((url) => readFile(new URL(url), "utf8")));
    const parts = texts.flatMap((text) => [...text.matchAll(/^ *\/\/ (\S+\.js)$/gm)].map(([, part]) => part));
    expect(parts.some((part) => part?.endsWith("cli/dist/program.js"))).toBe(true);
    expect(
      parts.filter((part) => /\/(ws|typebox|fastify|jose)\/|server\/dist\/(?!settings\.js)/.test(`${part}`)),
    ).toEqual([]);
  });

  it("runs through a link, as npm installs it", async () => {
    const { stdout } = await endOf(spawn(BIN, ["--version"], { env: environment(), stdio: "pipe" }));
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

/** Changes one byte of a text that is in the log. */
async function damage(dataDir: string, text: string): Promise<void> {
  for (const name of await readdir(join(dataDir, "log"))) {
    const path = join(dataDir, "log", name);
    const bytes = await readFile(path);
    const at = bytes.indexOf(text);
    if (at === -1) continue;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);
    return;
  }
  throw new Error(`${text} is not in the log`);
}
