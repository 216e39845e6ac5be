import { createInterface } from "node:readline/promises";
import { Option, type Command } from "commander";
import { addGlobalOptions, type Context } from "./context.js";
import { writeObject } from "./event-text.js";
import { CommandFailure, UsageFailure } from "./failures.js";
import { listSessions, type ListOptions } from "./list-sessions.js";
import { collect, jsonObject, nonEmpty, wholeNumberFrom } from "./parse-arguments.js";
import { getRecord, sessionPath } from "./session-calls.js";
import { showRecord } from "./show-record.js";

const SESSIONS_HELP = `
Examples:
  daybook sessions list --metadata team=legal
  daybook sessions get ses_demo
  daybook sessions update ses_demo --title "Signed" --expected-version 3
  daybook sessions archive ses_demo        # hidden from lists, still there
  daybook sessions delete ses_demo         # erased for good
  daybook sessions delete ses_demo --cascade   # with all its forks`;

const LIST_HELP = `
Examples:
  daybook sessions list --sort updated --order desc --limit 10
  daybook sessions list --archived all --metadata team=legal --metadata priority=1
  daybook sessions list --all --json | jq -r '.sessions[].id'`;

export function addSessionsCommand(program: Command, context: Context): void {
  const sessions = context
    .command(program, "sessions")
    .summary("list, show, change, archive and delete sessions")
    .description("List, show, change, archive and delete sessions.")
    .enablePositionalOptions()
    .addHelpText("after", SESSIONS_HELP);
  addList(sessions, context);
  addGet(sessions, context);
  addUpdate(sessions, context);
  addFlag(sessions, context, "archive", "hide a session from lists; nothing is deleted");
  addFlag(sessions, context, "unarchive", "show it in lists again");
  addDelete(sessions, context);
}

function addList(sessions: Command, context: Context): void {
  addGlobalOptions(sessions.command("list"))
    .summary("list sessions")
    .description("List sessions, by id unless --sort says otherwise.")
    .option("--limit <n>", "how many on a page (1 to 1000)", wholeNumberFrom(1))
    .option("--cursor <cursor>", "go on where a page ended, with what it said", nonEmpty)
    .option("--all", "page after page to the end")
    .addOption(
      new Option("--archived <which>", "which ones").choices(["active", "archived", "all"]).default("active"),
    )
    .option("--metadata <key=value>", "only those with this metadata; may be repeated", collect)
    .option("--forked-from <session>", "only forks of this session", nonEmpty)
    .addOption(new Option("--sort <by>", "order by").choices(["id", "created", "updated"]))
    .addOption(new Option("--order <order>", "which way").choices(["asc", "desc"]))
    .addHelpText("after", LIST_HELP)
    .action(async (options: ListOptions, command: Command) => {
      await listSessions(context, await context.client(command), {
        options,
        json: context.wantsJson(command),
      });
    });
}

function addGet(sessions: Command, context: Context): void {
  addGlobalOptions(sessions.command("get"))
    .summary("show a session")
    .description("Show a session: title, metadata, last seq, version.")
    .argument("<session>", "session id", nonEmpty)
    .action(async (id: string, _options: unknown, command: Command) => {
      const record = await getRecord(await context.client(command), id);
      await context.print(context.wantsJson(command) ? record : showRecord(record));
    });
}

interface UpdateOptions {
  readonly title?: string;
  readonly clearTitle?: true;
  readonly metadata?: string;
  readonly expectedVersion?: number;
}

function addUpdate(sessions: Command, context: Context): void {
  addGlobalOptions(sessions.command("update"))
    .alias("patch")
    .summary("change title or metadata")
    .description("Change a session's title or metadata. Its events are never changed.")
    .argument("<session>", "session id", nonEmpty)
    .option("--title <title>", "a new title")
    .addOption(new Option("--clear-title", "take the title away").conflicts("title"))
    .option("--metadata <json>", "a JSON object, merged into what is there, member by member", jsonObject)
    .option("--expected-version <n>", "refuse unless this is its version", wholeNumberFrom(1))
    .action(async (id: string, options: UpdateOptions, command: Command) => {
      const client = await context.client(command);
      const body = patchBody(options);
      // A repetition would count the version twice, or be refused for its own first time.
      const record = await client.call({ method: "PATCH", path: sessionPath(id), body, repeatable: false });
      await context.print(context.wantsJson(command) ? record : showRecord(record));
    });
}

function patchBody(options: UpdateOptions): string {
  const members = new Map<string, string>();
  if (options.title !== undefined) members.set("title", JSON.stringify(options.title));
  if (options.clearTitle === true) members.set("title", "null");
  if (options.metadata !== undefined) members.set("metadata", options.metadata);
  if (members.size === 0) {
    throw new UsageFailure("say what to change: --title, --clear-title or --metadata");
  }
  if (options.expectedVersion !== undefined) members.set("expected_version", String(options.expectedVersion));
  return writeObject(members);
}

function addFlag(sessions: Command, context: Context, name: "archive" | "unarchive", summary: string): void {
  addGlobalOptions(sessions.command(name))
    .summary(summary)
    .description(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`)
    .argument("<session>", "session id", nonEmpty)
    .action(async (id: string, _options: unknown, command: Command) => {
      const client = await context.client(command);
      const path = `${sessionPath(id)}/${name}`;
      const record = await client.call({ method: "POST", path, body: "{}", repeatable: true });
      await context.print(context.wantsJson(command) ? record : `${id} ${name}d`);
    });
}

interface DeleteOptions {
  readonly cascade?: true;
  readonly yes?: true;
}

function addDelete(sessions: Command, context: Context): void {
  addGlobalOptions(sessions.command("delete"))
    .summary("erase a session and its events for good")
    .description("Erase a session and all its events for good. Its id can never be used again.")
    .argument("<session>", "session id", nonEmpty)
    .option("--cascade", "its forks too, and theirs")
    .option("--yes", "do not ask")
    .action(async (id: string, options: DeleteOptions, command: Command) => {
      const client = await context.client(command);
      const path = sessionPath(id) + (options.cascade === true ? "?cascade=true" : "");
      if (options.yes !== true) await confirmDeletion(context, id, options.cascade === true);
      await client.call({ method: "DELETE", path, repeatable: false });
      await context.print(
        context.wantsJson(command) ? JSON.stringify({ id, deleted: true }) : `${id} deleted`,
      );
    });
}

/** Asks a person only: a script that says delete means it. */
async function confirmDeletion(context: Context, id: string, cascade: boolean): Promise<void> {
  const { stdin, stderr } = context.io;
  if (stdin.isTTY !== true || stderr.isTTY !== true) return;
  const prompt = createInterface({ input: stdin, output: stderr });
  try {
    const what = cascade ? `${id}, all its forks and all their events` : `${id} and all its events`;
    const answer = await prompt.question(`Erase ${what} for good? Type its id to confirm: `);
    if (answer.trim() !== id) throw new CommandFailure("nothing was deleted");
  } finally {
    prompt.close();
  }
}
