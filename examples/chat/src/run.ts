import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/**
 * Starts all that a product of this kind consists of, each a process of its own:
 *
 *     Daybook    keeps the chats, in ./daybook-data beside this
 *     backend    the page and its tokens
 *     agents     answer
 *
 * What is killed is started again, so that one can see the chat go on. Ctrl-C ends them all.
 */
const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const DAYBOOK = file("../../../packages/cli/bin/daybook.js");
const { CHAT_DATA_DIR = file("../daybook-data"), DAYBOOK_PORT = "0" } = process.env;
const WHERE = ["--data-dir", CHAT_DATA_DIR];
const END_MS = 10_000;

interface Part {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The variable that says where it listens: the same place when it is started again. */
  readonly portVariable?: string;
}

interface Running {
  readonly child: ChildProcess;
  /** What it said first: then it was there. */
  readonly line: string;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const running = new Map<string, ChildProcess>();
let isEnding = false;

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void end(0));
  await mkdir(CHAT_DATA_DIR, { recursive: true });
  const serve = ["serve", "--json", "--auth", "jwt", "--ops-port", "0", "--grpc-port", "0", ...WHERE];
  const server = await start({
    name: "Daybook",
    args: [DAYBOOK, ...serve],
    env: { DAYBOOK_LOG_LEVEL: "warn", DAYBOOK_PORT },
    portVariable: "DAYBOOK_PORT",
  });
  const { url } = JSON.parse(server.line) as { url: string };
  const env = { DAYBOOK_BASE_URL: url, DAYBOOK_API_KEY: await newKey(url) };
  const [page, agents] = await Promise.all([
    start({ name: "The backend", args: [file("backend.js")], env, portVariable: "PORT" }),
    start({ name: "The agents' process", args: [file("agents.js")], env }),
  ]);
  say(`The chat:  ${page.line.replace("backend: ", "")}`);
  say(`Daybook:   ${url}, data in ${CHAT_DATA_DIR}`);
  if ((process.env["OPENAI_API_KEY"] ?? process.env["OPENAI_BASE_URL"]) === undefined)
    say("The agents follow a script; with OPENAI_API_KEY set, a model answers.");
  say(
    `Kill what you like: kill -9 ${String(server.child.pid)} (Daybook) or ${String(agents.child.pid)} (agents).`,
  );
  say("Ctrl-C ends it.");
}

async function newKey(url: string): Promise<string> {
  const args = ["keys", "create", "--tenant", "chat", "--name", "chat", "--ttl", "30d", ...WHERE];
  const { stdout } = await promisify(execFile)(process.execPath, [DAYBOOK, ...args, "--public-url", url]);
  return stdout.trim();
}

/** Starts it, and again when it is killed; resolves when it is there for the first time. */
async function start(part: Part): Promise<Running> {
  const child = spawn(process.execPath, part.args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...part.env },
    // Ctrl-C reaches this process alone, which ends the others in order.
    detached: true,
  });
  running.set(part.name, child);
  const lines = createInterface({ input: child.stdout });
  let line = "";
  lines.once("line", (first: string) => (line = first));
  child.once("exit", (code, signal) => {
    if (isEnding) return;
    if (signal === null) {
      say(`${part.name} has ended (${String(code)}).`);
      void end(1);
    } else {
      say(`${part.name} was killed, and is started again.`);
      void start(inSamePlace(part, line));
    }
  });
  await once(lines, "line");
  return { child, line };
}

function inSamePlace(part: Part, line: string): Part {
  const [, port] = /http:\/\/[^:/]+:(\d+)/.exec(line) ?? [];
  const { portVariable } = part;
  if (port === undefined || portVariable === undefined) return part;
  return { ...part, env: { ...part.env, [portVariable]: port } };
}

/** The last one first, so that none misses what it needs. */
async function end(code: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  for (const child of [...running.values()].reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await ended;
    clearTimeout(late);
  }
  process.exit(code);
}

await main();
