import type { Command } from "commander";
import { get, queryOf } from "./agent-calls.js";
import { printDiff } from "./command-state-reads.js";
import type { Context } from "./context.js";
import { nonEmpty } from "./parse-arguments.js";
import { sessionPath } from "./session-calls.js";

interface DiffOptions {
  readonly from?: string;
  readonly to?: string;
  readonly prefix?: string;
}

const HELP = `
Each point is a seq, or a time (2030-01-31T12:00:00Z): all events inserted by then.

Examples:
  daybook diff ses_demo --from 40 --to 42       # what the events 41 and 42 changed
  daybook diff ses_demo --to 2030-01-31T12:00:00Z`;

export function addDiffCommand(program: Command, context: Context): void {
  context
    .command(program, "diff")
    .summary("show what changed in a session's state")
    .description("Show what changed in a session's state between two points: + added, ~ changed, - removed.")
    .argument("<session>", "session id", nonEmpty)
    .option("--from <point>", "a seq or a time (default: the beginning)", nonEmpty)
    .option("--to <point>", "a seq or a time (default: now)", nonEmpty)
    .option("--prefix <prefix>", "only keys that begin so")
    .addHelpText("after", HELP)
    .action(async (session: string, { from, to, prefix }: DiffOptions, command: Command) => {
      const client = await context.client(command);
      const path = `${sessionPath(session)}/state-diff${queryOf({ from, to, prefix })}`;
      await printDiff(context, command, await get(client, path));
    });
}
