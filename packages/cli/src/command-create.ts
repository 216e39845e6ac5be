import type { Command } from "commander";
import type { Context } from "./context.js";
import { writeObject } from "./event-text.js";
import { jsonObject, nonEmpty } from "./parse-arguments.js";
import { sessionPath } from "./session-calls.js";

interface CreateOptions {
  readonly id?: string;
  readonly title?: string;
  readonly metadata?: string;
}

const HELP = `
Prints the id. An id is never used twice, not even after its session was deleted.

Examples:
  daybook create --title "Contract review"
  daybook create --id ses_demo --metadata '{"team": "legal"}'
  id=$(daybook create) && daybook append "$id" --text "Hello"`;

export function addCreateCommand(program: Command, context: Context): void {
  context
    .command(program, "create")
    .summary("create a session")
    .description("Create a session.")
    .option("--id <id>", "its id (default: the server makes one)", nonEmpty)
    .option("--title <title>", "a line for lists")
    .option("--metadata <json>", "a JSON object; its top-level values can be filtered on", jsonObject)
    .addHelpText("after", HELP)
    .action(async (options: CreateOptions, command: Command) => {
      const client = await context.client(command);
      const members = new Map<string, string>();
      if (options.id !== undefined) {
        sessionPath(options.id);
        members.set("id", JSON.stringify(options.id));
      }
      if (options.title !== undefined) members.set("title", JSON.stringify(options.title));
      if (options.metadata !== undefined) members.set("metadata", options.metadata);
      const body = writeObject(members);
      // Sent twice it could make two sessions, or find its own first and call it somebody else's.
      const answer = await client.call({ method: "POST", path: "/v1/sessions", body, repeatable: false });
      const id = (JSON.parse(answer) as { id: string }).id;
      await context.print(context.wantsJson(command) ? answer : id);
    });
}
