import type { Command } from "commander";
import { addGlobalOptions } from "./context.js";
import { nonEmpty } from "./parse-arguments.js";

/** A subcommand about one agent. */
export function agentCommand(state: Command, name: string): Command {
  return addGlobalOptions(state.command(name))
    .argument("<agent>", "agent id", nonEmpty)
    .option("--namespace <name>", "the agent's namespace", nonEmpty, "default");
}

export interface AgentOptions {
  readonly namespace: string;
}
