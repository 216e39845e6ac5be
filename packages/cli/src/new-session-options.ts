import type { Command } from "commander";
import { jsonObject, nonEmpty } from "./parse-arguments.js";
import { sessionPath } from "./session-calls.js";

export interface NewSessionOptions {
  readonly id?: string;
  readonly title?: string;
  readonly metadata?: string;
}

/** What can be said of a session that is made. */
export function addNewSessionOptions(command: Command): Command {
  return command
    .option("--id <id>", "its id (default: the server makes one)", nonEmpty)
    .option("--title <title>", "a line for lists")
    .option("--metadata <json>", "a JSON object; its top-level values can be filtered on", jsonObject);
}

/** The same as members of a body. @throws UsageFailure for an id that no session can have */
export function newSessionMembers(options: NewSessionOptions): Map<string, string> {
  const members = new Map<string, string>();
  if (options.id !== undefined) {
    sessionPath(options.id);
    members.set("id", JSON.stringify(options.id));
  }
  if (options.title !== undefined) members.set("title", JSON.stringify(options.title));
  if (options.metadata !== undefined) members.set("metadata", options.metadata);
  return members;
}
