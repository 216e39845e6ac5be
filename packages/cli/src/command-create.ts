import type { Command } from "commander";
import type { Context } from "./context.js";
import { writeObject } from "./event-text.js";
import { addNewSessionOptions, newSessionMembers, type NewSessionOptions } from "./new-session-options.js";

const HELP = `
Prints the id. An id is never used twice, not even after its session was deleted.

Examples:
  daybook create --title "Contract review"
  daybook create --id ses_demo --metadata '{"team": "legal"}'
  id=$(daybook create) && daybook append "$id" --text "Hello"`;

export function addCreateCommand(program: Command, context: Context): void {
  addNewSessionOptions(
    context.command(program, "create").summary("create a session").description("Create a session."),
  )
    .addHelpText("after", HELP)
    .action(async (options: NewSessionOptions, command: Command) => {
      const client = await context.client(command);
      const body = writeObject(newSessionMembers(options));
      // Sent twice it could make two sessions, or find its own first and call it somebody else's.
      const answer = await client.call({ method: "POST", path: "/v1/sessions", body, repeatable: false });
      const id = (JSON.parse(answer) as { id: string }).id;
      await context.print(context.wantsJson(command) ? answer : id);
    });
}
