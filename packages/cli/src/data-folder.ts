import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import type { Context } from "./context.js";
import { CommandFailure } from "./failures.js";
import { nonEmpty } from "./parse-arguments.js";

export interface FolderOptions {
  readonly dataDir?: string;
}

/** A command on a data folder; no server is asked. */
export function folderCommand(parent: Command, name: string, help: string): Command {
  return parent
    .command(name)
    .option(
      "--data-dir <folder>",
      "the data folder (default: ./daybook-data, env: DAYBOOK_DATA_DIR)",
      nonEmpty,
    )
    .option("--json", "print JSON, for programs")
    .addHelpText("after", help);
}

/** @throws CommandFailure when there is none. */
export function existingFolder(context: Context, options: FolderOptions): string {
  const folder = folderOf(context, options);
  if (existsSync(folder)) return folder;
  throw new CommandFailure(`there is no data folder at ${folder}: name it with --data-dir`);
}

/** One with a log in it. @throws CommandFailure when there is none. */
export function storeFolder(context: Context, options: FolderOptions): string {
  const folder = existingFolder(context, options);
  if (existsSync(join(folder, "log"))) return folder;
  throw new CommandFailure(`${folder} is no data folder, it holds no log: name one with --data-dir`);
}

export function folderOf(context: Context, options: FolderOptions): string {
  const fromEnv = context.io.env["DAYBOOK_DATA_DIR"];
  return options.dataDir ?? (fromEnv === undefined || fromEnv === "" ? "./daybook-data" : fromEnv);
}
