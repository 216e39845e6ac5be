import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Daybook, type Session } from "@daybook/client";
import { WebSocket } from "ws";

/** The whole story by itself, on a server and folders of its own. */
const QUESTION = "What happens to the forks of a session that is deleted?";
const SESSION = "research";
const DAYBOOK = fileURLToPath(new URL("../../../packages/cli/bin/daybook.js", import.meta.url));

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const started = new Set<ChildProcess>();

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "daybook-research-"));
  try {
    await play(await startServer(join(folder, "data")), join(folder, "reports"));
  } finally {
    await Promise.all([...started].map(kill));
    await rm(folder, { recursive: true, force: true });
  }
}

async function play(url: string, reports: string): Promise<void> {
  const run = (script: string, args: readonly string[], more: Record<string, string> = {}): ChildProcess =>
    start([fileURLToPath(new URL(script, import.meta.url)), SESSION, ...args], {
      ...more,
      DAYBOOK_BASE_URL: url,
      REPORTS: reports,
    });
  await using daybook = new Daybook({ baseUrl: url, WebSocket });
  const session = await daybook.session({ identity: daybook.user({ id: "watcher" }), id: SESSION });

  say(`The agent is asked: ${QUESTION}`);
  const first = run("agent.js", [QUESTION], { HANG_AT_DECISION: "2" });
  await decisions(session, first, 2);
  await kill(first);
  say("It was killed with -9 in the middle of its second search, and is started again.");

  const second = run("agent.js", [QUESTION]);
  await asked(session, second, 1);
  say("It asks for approval of its draft. No: it shall look for cascade as well.");
  await finished(run("answer.js", ["no", "cascade"]));
  await asked(session, second, 2);
  say("It asks again. Yes.");
  await finished(run("answer.js", ["yes"]));
  await finished(second);

  say("\nIts report:\n");
  say(await readFile(join(reports, `${SESSION}.md`), "utf8"));
  say("And what it knew when it decided what:");
  await finished(run("explain.js", []));
}

/** Waits until the agent has decided so often. */
async function decisions(session: Session, agent: ChildProcess, count: number): Promise<void> {
  await until(session, agent, count, ({ type }) => type === "decision");
}

/** Waits until the agent has asked for an approval so often. */
async function asked(session: Session, agent: ChildProcess, count: number): Promise<void> {
  await until(session, agent, count, ({ type, payload }) => type === "decision" && payload["kind"] === "ask");
}

async function until(
  session: Session,
  agent: ChildProcess,
  count: number,
  wanted: (event: { readonly type: string; readonly payload: Record<string, unknown> }) => boolean,
): Promise<void> {
  const ended = new AbortController();
  agent.once("exit", () => ended.abort());
  if (agent.exitCode !== null) ended.abort();
  let seen = 0;
  for await (const event of session.events({ signal: ended.signal }))
    if (wanted(event) && ++seen === count) return;
  throw new Error("The agent ended before it should have.");
}

function start(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, ...env },
  });
  started.add(child);
  child.once("exit", () => started.delete(child));
  return child;
}

async function startServer(dataDir: string): Promise<string> {
  const ports = ["--port", "0", "--ops-port", "0", "--grpc-port", "0"];
  const server = spawn(process.execPath, [DAYBOOK, "serve", "--json", "--data-dir", dataDir, ...ports], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.add(server);
  const [line] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
  return (JSON.parse(line) as { url: string }).url;
}

async function finished(child: ChildProcess): Promise<void> {
  const [code] =
    child.exitCode === null ? ((await once(child, "exit")) as [number | null]) : [child.exitCode];
  if (code !== 0) throw new Error(`${child.spawnargs.join(" ")} ended with ${String(code)}.`);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

await main();
