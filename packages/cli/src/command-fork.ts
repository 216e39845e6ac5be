import type { Command } from "commander";
import type { Context } from "./context.js";
import { writeObject } from "./event-text.js";
import { addNewSessionOptions, newSessionMembers, type NewSessionOptions } from "./new-session-options.js";
import { nonEmpty, wholeNumberFrom } from "./parse-arguments.js";
import { sessionPath } from "./session-calls.js";

interface ForkOptions extends NewSessionOptions {
  readonly at?: number;
}

const HELP = `
Prints the id of the fork. It has the events and the state of the session up to --at, and goes on by itself. A session
cannot be deleted before its forks; \`daybook sessions delete --cascade\` deletes them too.

Examples:
  daybook fork ses_demo                         # from where it stands
  daybook fork ses_demo --at 42 --title "What if it had asked first?"
  daybook sessions list --forked-from ses_demo`;

export function addForkCommand(program: Command, context: Context): void {
  addNewSessionOptions(
    context
      .command(program, "fork")
      .summary("begin a session from any point of another")
      .description("Make a session that shares another's events and state up to a seq.")
      .argument("<session>", "session id", nonEmpty)
      .option("--at <seq>", "the last event to share (default: the last there is)", wholeNumberFrom(0)),
  )
    .addHelpText("after", HELP)
    .action(async (session: string, options: ForkOptions, command: Command) => {
      const client = await context.client(command);
      const members = newSessionMembers(options);
      if (options.at !== undefined) members.set("at_seq", String(options.at));
      const path = `${sessionPath(session)}/fork`;
      // Sent twice it could make two forks, or find its own first and call it somebody else's.
      const answer = await client.call({
        method: "POST",
        path,
        body: writeObject(members),
        repeatable: false,
      });
      const { id } = JSON.parse(answer) as { id: string };
      await context.print(context.wantsJson(command) ? answer : id);
    });
}
