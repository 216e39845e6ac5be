import type { Command } from "commander";
import { addStateDump } from "./command-state-dump.js";
import { addStateLog } from "./command-state-log.js";
import { addStateReads } from "./command-state-reads.js";
import { addGlobalOptions, type Context } from "./context.js";

const HELP = `
The state of agents: records, each with a key and a JSON object, that transactions change. Every version is kept.
--at takes a commit or a time (2030-01-31T12:00:00Z): what the agent knew then.

Examples:
  daybook state keys planner --prefix memory:
  daybook state get planner memory:episodic:001 --at 2030-01-31T12:00:00Z
  daybook state diff planner --from 12 --to 40
  daybook state tail planner -n 5
  daybook state dump planner -o planner.ndjson && daybook state restore planner.ndjson --agent planner-2`;

export function addStateCommand(program: Command, context: Context): void {
  const state = context
    .command(program, "state")
    .summary("read, follow, dump and restore the state of agents")
    .description("Read, follow, dump and restore the state of agents.")
    .enablePositionalOptions()
    .addHelpText("after", HELP);
  addStateReads(state, context);
  addStateLog(state, context);
  addStateDump(state, context);
  addQuestion(state, context, {
    ...{ name: "health", summary: "ask whether the state service answers" },
    ...{ rpc: "Health", member: "status" },
  });
  addQuestion(state, context, {
    ...{ name: "version", summary: "print the server's version" },
    ...{ rpc: "Version", member: "version" },
  });
}

interface Question {
  readonly name: string;
  readonly summary: string;
  readonly rpc: "Health" | "Version";
  /** The member of the answer that people are shown. */
  readonly member: string;
}

/** A subcommand that asks the state service about itself. */
function addQuestion(state: Command, context: Context, { name, summary, rpc, member }: Question): void {
  addGlobalOptions(state.command(name))
    .summary(summary)
    .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
    .action(async (_options: unknown, command: Command) => {
      const client = await context.client(command);
      const path = `/statehouse.v1.StatehouseService/${rpc}`;
      const answer = await client.call({ method: "POST", path, body: "{}", repeatable: true });
      const shown = (JSON.parse(answer) as Readonly<Record<string, string>>)[member] ?? "";
      await context.print(context.wantsJson(command) ? answer : shown);
    });
}
