import type { Command } from "commander";
import { agentPath, type AgentTarget, get, queryOf } from "./agent-calls.js";
import { agentCommand, type AgentOptions } from "./agent-command.js";
import type { Context } from "./context.js";
import { type CommitRange, readCommits, type ReceivedCommit } from "./follow-commits.js";
import { paintFor } from "./paint.js";
import { wholeNumberFrom } from "./parse-arguments.js";
import { renderCommit } from "./render-state.js";
import type { ServerClient } from "./server-client.js";
import { untilSignal } from "./until-signal.js";

export function addStateLog(state: Command, context: Context): void {
  addReplay(state, context);
  addTail(state, context);
}

interface ReplayOptions extends AgentOptions {
  readonly startTs?: number;
  readonly endTs?: number;
  readonly limit?: number;
  readonly verbose?: true;
}

function addReplay(state: Command, context: Context): void {
  agentCommand(state, "replay")
    .summary("show an agent's transactions")
    .description(
      "Show an agent's transactions in their order, as of now. --json prints each as the server has it.",
    )
    .option("--start-ts <n>", "from this commit on", wholeNumberFrom(0))
    .option("--end-ts <n>", "up to and with this commit", wholeNumberFrom(0))
    .option("--limit <n>", "how many at most", wholeNumberFrom(1))
    .option("-v, --verbose", "show whole values")
    .action(async (agent: string, options: ReplayOptions, command: Command) => {
      const client = await context.client(command);
      const target = { namespace: options.namespace, agent };
      const last = await lastCommit(client, target);
      await untilSignal(context, async (signal) => {
        const range = {
          after: Math.max(0, (options.startTs ?? 0) - 1),
          through: Math.min(options.endTs ?? last, last),
        };
        const commits = readCommits(client, { ...rangeOf(context, target, signal), ...range });
        await show(context, command, commits, options);
      });
    });
}

interface TailOptions extends AgentOptions {
  readonly lines: number;
  readonly follow: boolean;
  readonly verbose?: true;
}

function addTail(state: Command, context: Context): void {
  agentCommand(state, "tail")
    .summary("show an agent's newest transactions and follow")
    .description("Show an agent's newest transactions, then each one as it is committed.")
    .option("-n, --lines <n>", "how many to begin with", wholeNumberFrom(0), 10)
    .option("--no-follow", "stop at what is there now")
    .option("-v, --verbose", "show whole values")
    .action(async (agent: string, options: TailOptions, command: Command) => {
      const client = await context.client(command);
      const target = { namespace: options.namespace, agent };
      await untilSignal(context, async (signal) => {
        const range = rangeOf(context, target, signal);
        const last = await lastCommit(client, target);
        const newest = await newestCommits(client, { ...range, through: last }, options.lines);
        await show(context, command, newest, options);
        if (!options.follow) return;
        const coming = readCommits(client, { ...range, after: last, through: "follow" });
        await show(context, command, coming, options);
      });
    });
}

/** The last commit there is, of whichever agent: nothing committed later belongs to what is read now. */
async function lastCommit(client: ServerClient, target: AgentTarget): Promise<number> {
  const text = await get(client, agentPath(target, queryOf({ limit: 1, keys_only: "true" })));
  return (JSON.parse(text) as { commit_ts: number }).commit_ts;
}

/** How far back is looked at first; each time farther, since other agents' commits lie in between. */
const FIRST_WINDOW = 256;

async function newestCommits(
  client: ServerClient,
  range: CommitRange & { readonly through: number },
  count: number,
): Promise<ReceivedCommit[]> {
  if (count === 0) return [];
  for (let window = FIRST_WINDOW; ; window *= 8) {
    const newest: ReceivedCommit[] = [];
    const after = Math.max(0, range.through - window);
    for await (const commit of readCommits(client, { ...range, after })) {
      newest.push(commit);
      if (newest.length > count) newest.shift();
    }
    if (newest.length === count || after === 0) return newest;
  }
}

function rangeOf(context: Context, target: AgentTarget, signal: AbortSignal): CommitRange {
  const { clock } = context.io;
  return { target, after: 0, through: 0, clock, signal, say: (message) => context.say(message) };
}

async function show(
  context: Context,
  command: Command,
  commits: AsyncIterable<ReceivedCommit> | Iterable<ReceivedCommit>,
  { limit, verbose }: { readonly limit?: number; readonly verbose?: true },
): Promise<void> {
  const json = context.wantsJson(command);
  const paint = paintFor(context.io.stdout, context.io.env);
  let shown = 0;
  for await (const commit of commits) {
    await context.print(json ? commit.text : renderCommit(commit, paint, verbose === true));
    if (++shown === limit) return;
  }
}
