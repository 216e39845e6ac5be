import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkFolder, createApiKey } from "@daybook/server";
import { DemoReader } from "./demo-reader.js";
import { DemoServer } from "./demo-server.js";
import { DemoTicker } from "./demo-ticker.js";
import { type DemoWriter, record } from "./demo-writer.js";

/**
 * Three real commands are recorded in one session at once, a fourth writer notes every acknowledgement, two readers
 * follow, one of them is cut off again and again, and the server is killed with -9 twice. Then it is counted.
 */
const SESSION = "demo";
const node = process.execPath;
const COMMANDS: readonly (readonly [actor: string, command: readonly string[]])[] = [
  [
    "agent:tester",
    [node, "node_modules/vitest/vitest.mjs", "run", "--reporter=verbose", "packages/protocol"],
  ],
  ["agent:lister", ["ls", "-lR", "packages", "docs"]],
  [
    "agent:checker",
    [node, "node_modules/typescript/bin/tsc", "-p", "packages/core", "--noEmit", "--listFiles"],
  ],
];

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<boolean> {
  const auth = process.argv.includes("--auth") ? "jwt" : "none";
  const dataDir = await mkdtemp(join(tmpdir(), "daybook-demo-"));
  say(`Auth: ${auth}. Data: ${dataDir}`);
  const server = await DemoServer.start(dataDir, auth);
  try {
    const token =
      auth === "jwt"
        ? (await createApiKey(dataDir, { tenant: "demo", name: "demo", publicUrl: server.url })).key
        : undefined;
    const recorded = await play(server, token);
    await server.stop();
    return report(recorded, await checkFolder(dataDir));
  } finally {
    await server.stop().catch(() => undefined);
    await rm(dataDir, { recursive: true, force: true });
  }
}

interface Played {
  readonly steady: DemoReader;
  readonly cutOff: DemoReader;
  readonly writers: readonly DemoWriter[];
  readonly ticker: DemoTicker;
}

async function play(server: DemoServer, token: string | undefined): Promise<Played> {
  await createSession(server.url, token);
  const url = `${server.url}/v1/sessions/${SESSION}`;
  const socketUrl = url.replace("http", "ws");
  const steady = new DemoReader(socketUrl, token);
  const cutOff = new DemoReader(socketUrl, token, 250);
  const ticker = new DemoTicker(url, token);
  for (const reader of [steady, cutOff]) reader.follow();
  ticker.start();
  say(`Recording ${COMMANDS.length} commands with \`daybook exec\`:`);
  for (const [actor, command] of COMMANDS)
    say(`  ${actor}: ${command.map((part) => (part === node ? "node" : part)).join(" ")}`);
  const recording = Promise.all(
    COMMANDS.map(([actor, command]) => record(SESSION, { url: server.url, token }, actor, command)),
  );
  for (const kill of [1, 2]) {
    const seen = steady.texts.length;
    // An `exec` that finds no server at its very start gives up soon, and rightly so.
    await until(() => steady.texts.length > seen + 60 && startedIn(steady) === COMMANDS.length);
    say(`kill -9 number ${kill}, after ${steady.texts.length} events`);
    await server.killAndRestart();
  }
  const writers = await recording;
  await ticker.stop();
  const last = await lastSeq(url, token);
  await until(() => [steady, cutOff].every(({ texts }) => texts.length >= last));
  for (const reader of [steady, cutOff]) reader.stop();
  return { steady, cutOff, writers, ticker };
}

function report(
  { steady, cutOff, writers, ticker }: Played,
  check: Awaited<ReturnType<typeof checkFolder>>,
): boolean {
  const events = steady.texts.map((text) => JSON.parse(text) as DemoEvent);
  const checks: [ok: boolean, what: string][] = [
    [events.every(({ seq }, index) => seq === index + 1), `${events.length} events, seqs contiguous from 1`],
    [steady.problems.length + cutOff.problems.length === 0, "no reader saw a gap or a repeat"],
    [
      same(steady.texts, cutOff.texts),
      `both readers saw the same bytes in the same order (one was cut off ${cutOff.cuts} times)`,
    ],
    [
      [...ticker.acknowledged].every(([seq, number]) => events[seq - 1]?.payload.number === number) &&
        events.filter(({ type }) => type === "tick").length === ticker.acknowledged.size,
      `${ticker.acknowledged.size} acknowledged single appends: each is there once, at its seq`,
    ],
    ...writers.map((writer): [boolean, string] => [
      wasRecorded(writer, events),
      `${writer.actor}: ${writer.lines.length} lines recorded once each, in order, then its exit`,
    ]),
    [
      check.problems.length === 0,
      `daybook check: ${check.frames} frames and ${check.viewRecords} view records verified`,
    ],
  ];
  for (const [ok, what] of checks) say(`${ok ? "ok  " : "FAIL"}  ${what}`);
  for (const problem of [...steady.problems, ...cutOff.problems].slice(0, 5)) say(`      ${problem}`);
  say(`longest pause a reader had to wait, both kills included: ${Math.round(steady.longestPauseMs)} ms`);
  return checks.every(([ok]) => ok);
}

interface DemoEvent {
  readonly seq: number;
  readonly type: string;
  readonly actor: string;
  readonly producer_id: string;
  readonly payload: {
    readonly line?: string;
    readonly stream?: string;
    readonly command?: string;
    readonly args?: readonly string[];
    readonly number?: number;
    readonly continued?: boolean;
  };
}

/** A recording is found by what it says it ran; its producer ties the rest to it. */
function wasRecorded({ actor, command, lines }: DemoWriter, events: readonly DemoEvent[]): boolean {
  const started = events.filter(
    ({ type, payload }) =>
      type === "exec.started" && same([payload.command ?? "", ...(payload.args ?? [])], command),
  );
  const own = events.filter(({ producer_id }) => producer_id === started[0]?.producer_id);
  const printed = own.filter(({ type, payload }) => type === "exec.output" && payload.stream === "stdout");
  const recorded = printed.map(({ payload }) => payload.line ?? "");
  const isWhole = started.length === 1 && own.at(-1)?.type === "exec.exited" && same(recorded, lines);
  return isWhole && own.every((event) => event.actor === actor);
}

function startedIn({ texts }: DemoReader): number {
  return texts.filter((text) => text.includes('"type":"exec.started"')).length;
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((text, index) => text === other[index]);
}

async function createSession(url: string, token: string | undefined): Promise<void> {
  const answer = await fetch(`${url}/v1/sessions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...bearer(token) },
    body: JSON.stringify({ id: SESSION, title: "The demo" }),
  });
  if (answer.status !== 201) throw new Error(`the session could not be created: ${await answer.text()}`);
}

async function lastSeq(url: string, token: string | undefined): Promise<number> {
  const answer = await fetch(url, { headers: bearer(token) });
  return ((await answer.json()) as { last_seq: number }).last_seq;
}

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 50_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("the demo did not get on");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const good = await main();
say(good ? "Nothing was lost, nothing came twice." : "Something is wrong.");
process.exitCode = good ? 0 : 1;
