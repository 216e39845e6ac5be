import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { agentPath, type AgentTarget, listPages } from "./agent-calls.js";
import { agentCommand, type AgentOptions } from "./agent-command.js";
import { addGlobalOptions, type Context } from "./context.js";
import { onOneLine, openObject } from "./event-text.js";
import { CommandFailure, messageOf } from "./failures.js";
import type { Input, Output } from "./io.js";
import { nonEmpty } from "./parse-arguments.js";
import { showCount } from "./progress.js";
import { type NumberedLine, readLines } from "./read-lines.js";
import type { ServerClient } from "./server-client.js";
import { withInput } from "./with-input.js";
import { writeOutput } from "./write-output.js";
import { writeWholeFile } from "./write-whole-file.js";

/** The format's version, in the first line of every dump. */
const DUMP_FORMAT = "1";
/** A key, a value and what is around them. */
const LINE_BYTES_MAX = 4 * 1024 * 1024;
/** Records in one transaction, and bytes: well below what the server takes. */
const OPERATIONS_MAX = 500;
const BODY_BYTES_MAX = 4 * 1024 * 1024;

const DUMP_HELP = `
Writes NDJSON: first {"daybook_state_dump": 1, …}, then {"key": …, "value": …} for each record, with the exact
text of its value, all as of one commit. \`daybook state restore\` reads it.`;

const RESTORE_HELP = `
Writes the dumped records, some hundreds in a transaction. Records that are not in the dump stay as they are.
One that broke off can be run again.`;

interface DumpOptions extends AgentOptions {
  readonly output?: string;
  readonly prefix?: string;
  readonly at?: string;
}

export function addStateDump(state: Command, context: Context): void {
  agentCommand(state, "dump")
    .summary("write an agent's state as NDJSON")
    .description("Write an agent's state, as of any point, as NDJSON.")
    .option("-o, --output <file>", "write to a file instead of standard output", nonEmpty)
    .option("--prefix <prefix>", "only keys that begin so")
    .option("--at <point>", "as of a commit, or of a time (default: now)", nonEmpty)
    .addHelpText("after", DUMP_HELP)
    .action(async (agent: string, options: DumpOptions, command: Command) => {
      const client = await context.client(command);
      const target = { namespace: options.namespace, agent };
      const write = (output: Output): Promise<number> => writeDump(client, target, options, output);
      if (options.output === undefined) await write(context.io.stdout);
      else {
        const count = await writeWholeFile(options.output, write);
        context.say(`${showCount(count)} records of ${agent} are in ${options.output}`);
      }
    });
  addRestore(state, context);
}

async function writeDump(
  client: ServerClient,
  target: AgentTarget,
  options: DumpOptions,
  output: Output,
): Promise<number> {
  let count = 0;
  let isFirst = true;
  for await (const { commitTs, records } of listPages(client, target, options)) {
    const facts = { namespace: target.namespace, agent_id: target.agent, commit_ts: commitTs };
    if (isFirst)
      await writeOutput(output, `{"daybook_state_dump":${DUMP_FORMAT},${JSON.stringify(facts).slice(1)}\n`);
    isFirst = false;
    for (const { key, value } of records) {
      await writeOutput(output, `{"key":${JSON.stringify(key)},"value":${onOneLine(value?.text ?? "{}")}}\n`);
      count++;
    }
  }
  return count;
}

function addRestore(state: Command, context: Context): void {
  addGlobalOptions(state.command("restore"))
    .summary("write what `daybook state dump` wrote")
    .description("Write the records that `daybook state dump` wrote.")
    .argument("[file]", "the dump (default: standard input)", nonEmpty)
    .option("--namespace <name>", "into this namespace (default: the dump's)", nonEmpty)
    .option("--agent <agent>", "to this agent (default: the dump's)", nonEmpty)
    .addHelpText("after", RESTORE_HELP)
    .action(
      async (
        file: string | undefined,
        options: { readonly namespace?: string; readonly agent?: string },
        command: Command,
      ) => {
        const client = await context.client(command);
        const { target, records } = await withInput(context, file, (input) =>
          restore(client, input, options),
        );
        const facts = { namespace: target.namespace, agent_id: target.agent, records };
        const text = `${showCount(records)} records of ${target.agent} are restored`;
        await context.print(context.wantsJson(command) ? JSON.stringify(facts) : text);
      },
    );
}

async function restore(
  client: ServerClient,
  input: Input,
  options: { readonly namespace?: string; readonly agent?: string },
): Promise<{ target: AgentTarget; records: number }> {
  const lines = readLines(input, { bytesMax: LINE_BYTES_MAX, strictUtf8: true });
  const first = await lines.next();
  if (first.done === true)
    throw new CommandFailure("the input is empty: it must be what `daybook state dump` wrote");
  const dumped = readHeader(first.value);
  const target = { namespace: options.namespace ?? dumped.namespace, agent: options.agent ?? dumped.agent };
  // Names that no path can carry would be refused by the server only after the first transaction.
  agentPath(target);
  const writer = new RecordWriter(client, target);
  for await (const line of lines) {
    if (line.text.trim() !== "") await writer.add(readRecord(line));
  }
  await writer.flush();
  return { target, records: writer.written };
}

function readHeader({ number, text }: NumberedLine): AgentTarget {
  try {
    const header = openObject(text);
    const format = header.get("daybook_state_dump");
    if (format === undefined) throw new Error("is not the beginning of what `daybook state dump` wrote");
    if (format !== DUMP_FORMAT)
      throw new Error(`is of dump format ${format}; this version reads ${DUMP_FORMAT}`);
    const namespace: unknown = JSON.parse(header.get("namespace") ?? "null");
    const agent: unknown = JSON.parse(header.get("agent_id") ?? "null");
    if (typeof namespace !== "string" || typeof agent !== "string") throw new Error("names no agent");
    return { namespace, agent };
  } catch (error) {
    throw new CommandFailure(`line ${number} ${messageOf(error)}`);
  }
}

/** The record's two members, as they stand in the line. */
function readRecord({ number, text }: NumberedLine): { readonly key: string; readonly value: string } {
  try {
    const record = openObject(text);
    const [key, value] = [record.get("key"), record.get("value")];
    if (key === undefined || value === undefined) throw new Error("has no key or no value");
    return { key, value };
  } catch (error) {
    throw new CommandFailure(`line ${number} ${messageOf(error)}`);
  }
}

/** Writes records in transactions that a producer numbers, so that each can be sent again. */
class RecordWriter {
  written = 0;
  private operations: string[] = [];
  private bytes = 0;
  private transactions = 0;
  private readonly producerId = `restore-${randomBytes(9).toString("base64url")}`;
  private readonly owner: string;

  constructor(
    private readonly client: ServerClient,
    { namespace, agent }: AgentTarget,
  ) {
    this.owner = `"namespace":${JSON.stringify(namespace)},"agent_id":${JSON.stringify(agent)}`;
  }

  /** Key and value as JSON texts. */
  async add({ key, value }: { readonly key: string; readonly value: string }): Promise<void> {
    const operation = `{${this.owner},"key":${key},"value":${value}}`;
    const isFull =
      this.operations.length === OPERATIONS_MAX || this.bytes + operation.length > BODY_BYTES_MAX;
    if (isFull) await this.flush();
    this.operations.push(operation);
    this.bytes += operation.length;
  }

  async flush(): Promise<void> {
    if (this.operations.length === 0) return;
    const producer = `"producer_id":"${this.producerId}","producer_seq":${++this.transactions}`;
    const body = `{"operations":[${this.operations.join(",")}],${producer}}`;
    await this.client.call({ method: "POST", path: "/v1/state/transactions", body, repeatable: true });
    this.written += this.operations.length;
    this.operations = [];
    this.bytes = 0;
  }
}
