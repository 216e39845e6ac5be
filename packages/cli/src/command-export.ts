import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { finished } from "node:stream/promises";
import type { Command } from "commander";
import type { Context } from "./context.js";
import { onOneLine } from "./event-text.js";
import { CommandFailure, messageOf } from "./failures.js";
import type { Output } from "./io.js";
import { nonEmpty } from "./parse-arguments.js";
import { progressOn, showCount } from "./progress.js";
import { readEvents } from "./read-events.js";
import type { ServerClient } from "./server-client.js";
import { getRecord } from "./session-calls.js";
import { writeOutput } from "./write-output.js";

const HELP = `
Writes NDJSON: first {"daybook_export": 1, "session": {…}}, then the events, one a line, with the exact
text the server has. What is appended while it runs is left out. \`daybook import\` reads it.

Examples:
  daybook export ses_demo -o ses_demo.ndjson
  daybook export ses_demo | gzip >ses_demo.ndjson.gz
  daybook export ses_demo | daybook --base-url http://other:4000 import`;

export function addExportCommand(program: Command, context: Context): void {
  context
    .command(program, "export")
    .summary("write a session and its events as NDJSON")
    .description("Write a session and all its events as NDJSON, to keep or to import elsewhere.")
    .argument("<session>", "session id", nonEmpty)
    .option("-o, --output <file>", "write to a file instead of standard output", nonEmpty)
    .addHelpText("after", HELP)
    .action(async (session: string, options: { readonly output?: string }, command: Command) => {
      const client = await context.client(command);
      if (options.output === undefined) await writeExport(context, client, session, context.io.stdout);
      else await exportToFile(context, client, session, options.output);
    });
}

/** Under another name until it is whole: half an export must not be taken for one. */
async function exportToFile(
  context: Context,
  client: ServerClient,
  session: string,
  path: string,
): Promise<void> {
  const draft = `${path}.${process.pid}.partial`;
  const file = createWriteStream(draft, { mode: 0o600 });
  // Found out by the next write, or by waiting for the end.
  file.on("error", () => undefined);
  try {
    const count = await writeExport(context, client, session, file);
    file.end();
    await finished(file);
    await rename(draft, path);
    context.say(`${showCount(count)} events of ${session} are in ${path}`);
  } catch (error) {
    file.destroy();
    await rm(draft, { force: true });
    if (file.errored === null) throw error;
    throw new CommandFailure(`cannot write ${path}: ${messageOf(file.errored)}`);
  }
}

async function writeExport(
  context: Context,
  client: ServerClient,
  session: string,
  output: Output,
): Promise<number> {
  const record = await getRecord(client, session);
  const { last_seq: lastSeq } = JSON.parse(record) as { last_seq: number };
  await writeOutput(output, `{"daybook_export":1,"session":${onOneLine(record)}}\n`);
  const progress = progressOn(context.io);
  let count = 0;
  try {
    for await (const event of readEvents(client, { session, cursor: 0, lastSeq })) {
      await writeOutput(output, `${onOneLine(event)}\n`);
      progress.show(`${showCount(++count)} of ${showCount(lastSeq)} events`);
    }
  } finally {
    progress.clear();
  }
  return count;
}
