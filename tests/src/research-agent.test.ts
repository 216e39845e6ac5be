import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type WireEvent, eventually, startServer, type TestServer, within } from "@daybook/test-kit";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

const example = (script: string): string =>
  fileURLToPath(new URL(`../../examples/research-agent/dist/${script}`, import.meta.url));
const QUESTION = "Which cursor follows a tail?";

let server: TestServer;
const started: ChildProcess[] = [];
let sessions = 0;
const newSession = (): string => `research-${++sessions}`;
beforeAll(async () => {
  server = await startServer();
});
afterEach(() => Promise.all(started.splice(0).map(kill)));
afterAll(() => server[Symbol.asyncDispose]());

function run(script: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, [example(script), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, DAYBOOK_BASE_URL: server.url, REPORTS: join(server.dataDir, "reports"), ...env },
  });
  started.push(child);
  return child;
}
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
async function ends(child: ChildProcess): Promise<string> {
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await within("the process ended", once(child, "close"))) as [number | null];
  expect(code).toBe(0);
  return output;
}

async function eventsOf(session: string): Promise<readonly WireEvent[]> {
  const { status, json } = await server.call("GET", `/v1/sessions/${session}/events?limit=1000`);
  return status === 200 ? json.events : [];
}
const decisionsOf = (events: readonly WireEvent[]): WireEvent[] =>
  events.filter(({ type }) => type === "decision");
const asks = async (session: string): Promise<boolean> =>
  (await eventsOf(session)).at(-1)?.payload["kind"] === "ask";

/** What was said, without what is another one in each run. */
const story = (session: string, events: readonly WireEvent[]): unknown[] =>
  events.map(({ type, payload, refs }) => [
    type,
    JSON.stringify(payload).replaceAll(session, "SESSION"),
    refs,
  ]);

/** Approves, and waits until the agent has ended. */
async function approve(session: string, agent: ChildProcess): Promise<void> {
  await eventually("the agent asks", () => asks(session));
  const ended = ends(agent);
  await ends(run("answer.js", [session, "yes"]));
  await ended;
}

describe("examples/research-agent", () => {
  it("tells its whole story by itself", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [example("run.js")], { timeout: 50_000 });
    for (const line of ["killed with -9", "# What happens to the forks", "It asks again. Yes."])
      expect(stdout).toContain(line);
    const explained = stdout.slice(stdout.indexOf("And what it knew")).split(/\n\n/);
    const decided = explained.filter((block) => block.includes(" DECIDED "));
    expect(decided.map((block) => /"kind":"(\w+)"/.exec(block)?.[1])).toEqual([
      ...["search", "search", "search", "draft", "ask"],
      ...["search", "draft", "ask", "publish"],
    ]);
    // A decision is explained with what was known before it, never with what came of it.
    expect(decided[0]).toMatch(/\+ question = /);
    expect(decided[0]).not.toContain("found/");
    expect(decided[1]).toMatch(/\+ searched\/forks = \d/);
    expect(decided[1]).not.toContain("searched/session");
    expect(decided.at(-1)).toMatch(/\+ approval = .*"approved":true/);
  });

  it("goes on exactly where it was killed, in whatever decision that was", async () => {
    const undisturbed = newSession();
    await approve(undisturbed, run("agent.js", [undisturbed, QUESTION]));
    const whole = await eventsOf(undisturbed);
    // Three searches and the draft, the question to a person, and the publishing.
    expect(decisionsOf(whole)).toHaveLength(6);
    for (const at of [1, 3, 4]) {
      const session = newSession();
      const victim = run("agent.js", [session, QUESTION], { HANG_AT_DECISION: String(at) });
      const reached = async () => decisionsOf(await eventsOf(session)).length === at;
      await eventually(`decision ${at} was made`, reached);
      await kill(victim);
      expect((await eventsOf(session)).at(-1)?.type).toBe("decision");
      await approve(session, run("agent.js", [session]));
      expect(story(session, await eventsOf(session))).toEqual(story(undisturbed, whole));
    }
  });

  it("is killed while it waits for a person, and hears the answer that came meanwhile", async () => {
    const session = newSession();
    const victim = run("agent.js", [session, QUESTION]);
    await eventually("the agent asks", () => asks(session));
    await kill(victim);
    await ends(run("answer.js", [session, "yes"]));
    await ends(run("agent.js", [session]));
    expect(existsSync(join(server.dataDir, "reports", `${session}.md`))).toBe(true);
  });

  it("ends without a report when a person says no and nothing more", async () => {
    const session = newSession();
    const agent = ends(run("agent.js", [session, QUESTION]));
    await eventually("the agent asks", () => asks(session));
    await ends(run("answer.js", [session, "no"]));
    await agent;
    expect((await eventsOf(session)).at(-1)?.type).toBe("approval");
    expect(existsSync(join(server.dataDir, "reports", `${session}.md`))).toBe(false);
  });

  it("does nothing twice when two of its processes run at once", async () => {
    const session = newSession();
    const agents = [1, 2, 3].map(() => ends(run("agent.js", [session, QUESTION])));
    await eventually("they ask", () => asks(session));
    await ends(run("answer.js", [session, "yes"]));
    await Promise.all(agents);
    const events = await eventsOf(session);
    const done = events.filter(({ type }) => type === "result").map(({ refs }) => refs["to_seq"]);
    const decided = decisionsOf(events).filter(({ payload }) => payload["kind"] !== "ask");
    expect(done).toEqual(decided.map(({ seq }) => seq));
    expect(new Set(decided.map(({ payload }) => JSON.stringify(payload))).size).toBe(decided.length);
  });
});
