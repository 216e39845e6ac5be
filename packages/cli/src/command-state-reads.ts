import { parseJson } from "@daybook/protocol/parse-json";
import type { Command } from "commander";
import {
  agentPath,
  type AgentTarget,
  DEPTH,
  get,
  listPages,
  queryOf,
  RECORD_MEMBERS,
  type StateRecord,
} from "./agent-calls.js";
import { agentCommand, type AgentOptions } from "./agent-command.js";
import type { Context } from "./context.js";
import { onOneLine } from "./event-text.js";
import { ServerRefusal } from "./failures.js";
import { paintFor } from "./paint.js";
import { nonEmpty, wholeNumberFrom } from "./parse-arguments.js";
import { plain } from "./render-event.js";
import { indentJson, renderDiff, shownValue } from "./render-state.js";
import type { ServerClient } from "./server-client.js";
import { showTable } from "./show-table.js";

const AT = "as of a commit, or of a time (default: now)";

export function addStateReads(state: Command, context: Context): void {
  addKeys(state, context);
  addGet(state, context);
  addHistory(state, context);
  addDiff(state, context);
  addInspect(state, context);
}

interface ListOptions extends AgentOptions {
  readonly prefix?: string;
  readonly at?: string;
  readonly limit?: number;
}

function addKeys(state: Command, context: Context): void {
  agentCommand(state, "keys")
    .summary("list the keys of an agent")
    .description("List the keys of an agent, in the order of their bytes.")
    .option("--prefix <prefix>", "only keys that begin so")
    .option("--at <point>", AT, nonEmpty)
    .option("--limit <n>", "how many at most (default: all)", wholeNumberFrom(1))
    .action(async (agent: string, options: ListOptions, command: Command) => {
      const client = await context.client(command);
      const target = { namespace: options.namespace, agent };
      const json = context.wantsJson(command);
      for await (const { records } of listPages(client, target, { ...options, keysOnly: true })) {
        for (const { key, version, commit_ts } of records)
          await context.print(json ? JSON.stringify({ key, version, commit_ts }) : plain(key));
      }
    });
}

function addGet(state: Command, context: Context): void {
  agentCommand(state, "get")
    .summary("show the value of a key")
    .description("Show the value of a key, now or as of any point; --json adds its version and commit.")
    .argument("<key>", "key", nonEmpty)
    .option("--at <point>", AT, nonEmpty)
    .option("--version <n>", "this version of it", wholeNumberFrom(1))
    .action(
      async (
        agent: string,
        key: string,
        options: AgentOptions & { readonly at?: string; readonly version?: number },
        command: Command,
      ) => {
        const client = await context.client(command);
        const { namespace, at, version } = options;
        const text = await get(client, agentPath({ namespace, agent }, queryOf({ key, at, version })));
        const record = parseJson(text, { members: RECORD_MEMBERS }, DEPTH) as StateRecord;
        if (context.wantsJson(command)) await context.print(text);
        else await context.print(record.value === undefined ? "(deleted)" : indentJson(record.value.text));
      },
    );
}

function addHistory(state: Command, context: Context): void {
  agentCommand(state, "history")
    .summary("show every version of a key")
    .description("Show every version of a key, oldest first, deletions too.")
    .argument("<key>", "key", nonEmpty)
    .option("--limit <n>", "how many at most (default: all)", wholeNumberFrom(1))
    .action(
      async (
        agent: string,
        key: string,
        options: AgentOptions & { readonly limit?: number },
        command: Command,
      ) => {
        const client = await context.client(command);
        const target = { namespace: options.namespace, agent };
        let left = options.limit ?? Infinity;
        for await (const one of versionsOf(client, target, key, left)) {
          await context.print(context.wantsJson(command) ? recordJson(one) : versionLine(one));
          if (--left === 0) return;
        }
      },
    );
}

const HISTORY = { members: { versions: { items: { members: RECORD_MEMBERS } } } } as const;
const PAGE_VERSIONS = 200;

/** A key's versions, oldest first. */
async function* versionsOf(
  client: ServerClient,
  target: AgentTarget,
  key: string,
  limit: number,
): AsyncGenerator<StateRecord> {
  // No path can carry these two, whatever their spelling.
  if (key === "." || key === "..") {
    yield* versionsByNumber(client, target, key);
    return;
  }
  const path = agentPath(target, `/${encodeURIComponent(key)}/history`);
  for (let cursor = 0; ;) {
    const text = await get(client, path + queryOf({ cursor, limit: Math.min(PAGE_VERSIONS, limit) }));
    const { versions } = parseJson(text, HISTORY, DEPTH) as { versions: StateRecord[] };
    const last = versions.at(-1);
    if (last === undefined) return;
    yield* versions;
    cursor = last.version;
  }
}

async function* versionsByNumber(
  client: ServerClient,
  target: AgentTarget,
  key: string,
): AsyncGenerator<StateRecord> {
  for (let version = 1; ; version++) {
    try {
      const text = await get(client, agentPath(target, queryOf({ key, version })));
      yield parseJson(text, { members: RECORD_MEMBERS }, DEPTH) as StateRecord;
    } catch (error) {
      if (error instanceof ServerRefusal && error.code === "state_key_not_found") return;
      throw error;
    }
  }
}

function versionLine({ version, commit_ts, value }: StateRecord): string {
  return `v${version}  commit ${commit_ts}  ${shownValue(value)}`;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

/** On one line, the value with its exact text. */
function recordJson({ value, ...record }: StateRecord): string {
  const text = JSON.stringify(record);
  return value === undefined ? text : `${text.slice(0, -1)},"value":${onOneLine(value.text)}}`;
}

function addDiff(state: Command, context: Context): void {
  agentCommand(state, "diff")
    .summary("show what changed between two points")
    .description("Show what changed in an agent's state between two points: + added, ~ changed, - removed.")
    .option("--from <point>", "a commit or a time (default: the beginning)", nonEmpty)
    .option("--to <point>", "a commit or a time (default: now)", nonEmpty)
    .option("--prefix <prefix>", "only keys that begin so")
    .action(
      async (
        agent: string,
        options: AgentOptions & { readonly from?: string; readonly to?: string; readonly prefix?: string },
        command: Command,
      ) => {
        const client = await context.client(command);
        const { namespace, from, to, prefix } = options;
        const text = await get(
          client,
          agentPath({ namespace, agent }, `/diff${queryOf({ from, to, prefix })}`),
        );
        await printDiff(context, command, text);
      },
    );
}

/** The server's JSON, or for people a line a change; nothing when nothing changed. */
export async function printDiff(context: Context, command: Command, text: string): Promise<void> {
  if (context.wantsJson(command)) {
    await context.print(text);
    return;
  }
  const shown = renderDiff(text, paintFor(context.io.stdout, context.io.env));
  if (shown !== "") await context.print(shown);
}

function addInspect(state: Command, context: Context): void {
  agentCommand(state, "inspect")
    .summary("show what an agent has: keys, versions, sizes")
    .description("Show what an agent has: its keys with their versions, commits and sizes.")
    .option("--prefix <prefix>", "only keys that begin so")
    .option("--at <point>", AT, nonEmpty)
    .action(async (agent: string, options: ListOptions, command: Command) => {
      const client = await context.client(command);
      const rows: { key: string; version: number; commit_ts: number; bytes: number }[] = [];
      let asOf = 0;
      for await (const page of listPages(client, { namespace: options.namespace, agent }, options)) {
        asOf = page.commitTs;
        for (const { key, version, commit_ts, value } of page.records)
          rows.push({ key, version, commit_ts, bytes: Buffer.byteLength(value?.text ?? "") });
      }
      const sum = (pick: (row: (typeof rows)[number]) => number): number =>
        rows.reduce((total, row) => total + pick(row), 0);
      const facts = {
        ...{ namespace: options.namespace, agent_id: agent, commit_ts: asOf, keys: rows.length },
        ...{ versions: sum(({ version }) => version), bytes: sum(({ bytes }) => bytes) },
      };
      if (context.wantsJson(command)) {
        await context.print(JSON.stringify({ ...facts, state: rows }));
        return;
      }
      const table = rows.map(({ key, version, commit_ts, bytes }) => [
        ...[String(version), String(commit_ts), String(bytes), plain(key)],
      ]);
      await context.print(
        `${plain(agent)} in ${plain(options.namespace)}, as of commit ${asOf}: ` +
          [counted(facts.keys, "key"), counted(facts.versions, "version"), counted(facts.bytes, "byte")].join(
            ", ",
          ),
      );
      if (rows.length > 0) await context.print(showTable([["VERSION", "COMMIT", "BYTES", "KEY"], ...table]));
    });
}
