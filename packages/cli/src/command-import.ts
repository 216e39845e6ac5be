import type { Command } from "commander";
import type { Context } from "./context.js";
import { importSession } from "./import-session.js";
import { nonEmpty } from "./parse-arguments.js";
import { withInput } from "./with-input.js";

const HELP = `
Everything is kept as it was: seqs, actors, times, producers, state, the exact text. An import that broke off
can simply be run again: what is there already is passed over. Needs a key of a service.

Examples:
  daybook import ses_demo.ndjson
  daybook import ses_demo.ndjson --id ses_copy
  zcat ses_demo.ndjson.gz | daybook import`;

export function addImportCommand(program: Command, context: Context): void {
  context
    .command(program, "import")
    .summary("take in what `daybook export` wrote")
    .description("Take in a session that `daybook export` wrote.")
    .argument("[file]", "the export (default: standard input)", nonEmpty)
    .option("--id <id>", "give the session another id", nonEmpty)
    .addHelpText("after", HELP)
    .action(async (file: string | undefined, options: { readonly id?: string }, command: Command) => {
      const client = await context.client(command);
      const { id, events } = await withInput(context, file, (input) =>
        importSession(context, client, { input, newId: options.id }),
      );
      const facts = { id, events };
      await context.print(context.wantsJson(command) ? JSON.stringify(facts) : `${id} events=${events}`);
    });
}
