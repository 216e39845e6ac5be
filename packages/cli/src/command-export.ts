import type { Command } from "commander";
import type { Context } from "./context.js";
import { onOneLine } from "./event-text.js";
import type { Output } from "./io.js";
import { nonEmpty } from "./parse-arguments.js";
import { progressOn, showCount } from "./progress.js";
import { readEvents } from "./read-events.js";
import type { ServerClient } from "./server-client.js";
import { getRecord } from "./session-calls.js";
import { writeOutput } from "./write-output.js";
import { writeWholeFile } from "./write-whole-file.js";

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
      else {
        const count = await writeWholeFile(options.output, (file) =>
          writeExport(context, client, session, file),
        );
        context.say(`${showCount(count)} events of ${session} are in ${options.output}`);
      }
    });
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
