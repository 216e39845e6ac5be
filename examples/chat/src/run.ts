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
 * Ctrl-C ends them all.
 */
const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const DAYBOOK = file("../../../packages/cli/bin/daybook.js");
const DATA_DIR = process.env["CHAT_DATA_DIR"] ?? file("../daybook-data");

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const started: ChildProcess[] = [];
let isEnding = false;

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void end(0));
  await mkdir(DATA_DIR, { recursive: true });
  const ports = ["--port", process.env["DAYBOOK_PORT"] ?? "0", "--ops-port", "0", "--grpc-port", "0"];
  const where = ["--data-dir", DATA_DIR];
  const line = await start("Daybook", [DAYBOOK, "serve", "--json", "--auth", "jwt", ...where, ...ports], {
    DAYBOOK_LOG_LEVEL: "warn",
  });
  const { url } = JSON.parse(line) as { url: string };
  const key = await promisify(execFile)(process.execPath, [
    ...[DAYBOOK, "keys", "create", "--tenant", "chat", "--name", "chat", "--ttl", "30d", ...where],
    ...["--public-url", url],
  ]);
  const env = { DAYBOOK_BASE_URL: url, DAYBOOK_API_KEY: key.stdout.trim() };
  const [backend] = await Promise.all([
    start("The backend", [file("backend.js")], env),
    start("The agents' process", [file("agents.js")], env),
  ]);
  const model = process.env["OPENAI_API_KEY"] ?? process.env["OPENAI_BASE_URL"];
  say(`The chat:  ${backend.replace("backend: ", "")}`);
  say(`Daybook:   ${url}  (data in ${DATA_DIR})`);
  if (model === undefined) say("The agents follow a script; with OPENAI_API_KEY set, a model answers.");
  say("Ctrl-C ends it.");
}

/** @returns the first line that it prints: it is there then */
async function start(name: string, args: readonly string[], env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
    // Ctrl-C reaches this process alone, which ends the others in order.
    detached: true,
  });
  started.push(child);
  child.once("exit", (code, signal) => {
    if (isEnding) return;
    process.stderr.write(`${name} ended (${String(code ?? signal)}).\n`);
    void end(1);
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([once(lines, "line"), once(child, "exit").then(() => [""])])) as [
    string,
  ];
  return line;
}

/** The last one first, so that none misses what it needs. */
async function end(code: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  for (const child of started.reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(late);
  }
  process.exit(code);
}

await main();
