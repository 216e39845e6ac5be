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
  addHealth(state, context);
  addVersion(state, context);
}

function addHealth(state: Command, context: Context): void {
  addGlobalOptions(state.command("health"))
    .summary("ask whether the state service answers")
    .description("Ask whether the state service answers.")
    .action(async (_options: unknown, command: Command) => {
      const answer = await callService(context, command, "Health");
      await context.print(
        context.wantsJson(command) ? answer : (JSON.parse(answer) as { status: string }).status,
      );
    });
}

function addVersion(state: Command, context: Context): void {
  addGlobalOptions(state.command("version"))
    .summary("print the server's version")
    .description("Print the server's version.")
    .action(async (_options: unknown, command: Command) => {
      const answer = await callService(context, command, "Version");
      await context.print(
        context.wantsJson(command) ? answer : (JSON.parse(answer) as { version: string }).version,
      );
    });
}

async function callService(context: Context, command: Command, rpc: "Health" | "Version"): Promise<string> {
  const client = await context.client(command);
  const path = `/statehouse.v1.StatehouseService/${rpc}`;
  return client.call({ method: "POST", path, body: "{}", repeatable: true });
}
