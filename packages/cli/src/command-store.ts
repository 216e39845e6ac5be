import type { Command } from "commander";
import type { CheckReport } from "@daybook/server";
import type { Context } from "./context.js";
import { folderCommand, folderOf, type FolderOptions, storeFolder } from "./data-folder.js";
import { EXIT } from "./exit-codes.js";
import { nonEmpty } from "./parse-arguments.js";
import { paintFor } from "./paint.js";
import { progressOn, showBytes, showCount } from "./progress.js";
import { whatTheStoreSays } from "./store-failure.js";

const CHECK_HELP = `
Reads every frame of the log and compares every view with one made anew. Changes nothing. The server must be stopped.
Exits with 0 when all is well, 1 when something is damaged.

Examples:
  daybook check --data-dir /var/lib/daybook
  daybook check --json | jq .problems`;

const REPAIR_HELP = `
Views that are wrong are removed; the next start makes them anew, and nothing is lost. Damage in the log costs what
stands behind it: that needs --accept-loss, and what is taken out is kept in the folder "lost". Restoring a
backup may lose less: look at \`daybook check\` first.

Examples:
  daybook repair --data-dir /var/lib/daybook
  daybook repair --data-dir /var/lib/daybook --accept-loss`;

const BACKUP_HELP = `
Copies the log, also while the server runs: the copy is the log as it was at one moment. Views are left out: they are
made anew from it. Keys are left out too: keep the folder "keys" apart, or make new ones after a restore.

Examples:
  daybook backup /backups/daybook-monday --data-dir /var/lib/daybook
  daybook restore /backups/daybook-monday --data-dir /var/lib/daybook-new
  daybook check --data-dir /backups/daybook-monday`;

/** The commands on a data folder; no server is asked. */
export function addStoreCommands(program: Command, context: Context): void {
  folderCommand(program, "check", CHECK_HELP)
    .summary("verify a data folder")
    .description("Verify a data folder, frame by frame. The server must be stopped.")
    .action(async (options: FolderOptions, command: Command) => {
      await check(context, storeFolder(context, options), context.wantsJson(command));
    });
  folderCommand(program, "repair", REPAIR_HELP)
    .summary("make a damaged data folder usable")
    .description("Make a damaged data folder usable again. The server must be stopped.")
    .option("--accept-loss", "go on without what is lost")
    .action(async (options: FolderOptions & { readonly acceptLoss?: true }, command: Command) => {
      const { repairFolder } = await import("@daybook/server");
      const acceptLoss = options.acceptLoss === true;
      const { lostBytes, message } = await said(repairFolder(storeFolder(context, options), { acceptLoss }));
      const facts = { lost_bytes: lostBytes, message };
      await context.print(context.wantsJson(command) ? JSON.stringify(facts) : message);
    });
  folderCommand(program, "backup", BACKUP_HELP)
    .summary("copy a data folder, also while the server runs")
    .description("Copy a data folder, also while the server runs.")
    .argument("<folder>", "where the copy goes; new or empty", nonEmpty)
    .action(async (target: string, options: FolderOptions, command: Command) => {
      const { backupFolder } = await import("@daybook/server");
      await copy(context, command, (show) => backupFolder(storeFolder(context, options), target, show));
    });
  folderCommand(program, "restore", BACKUP_HELP)
    .summary("make a data folder out of a backup")
    .description("Make a data folder out of a backup.")
    .argument("<backup>", "what `daybook backup` made", nonEmpty)
    .action(async (backup: string, options: FolderOptions, command: Command) => {
      const { restoreFolder } = await import("@daybook/server");
      await copy(context, command, (show) => restoreFolder(backup, folderOf(context, options), show));
    });
}

async function said<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw await whatTheStoreSays(error);
  }
}

async function check(context: Context, folder: string, json: boolean): Promise<void> {
  const { checkFolder } = await import("@daybook/server");
  const progress = progressOn(context.io);
  const report = await said(
    checkFolder(folder, (bytes) => progress.show(`checked ${showBytes(bytes)}`)),
  ).finally(() => progress.clear());
  if (report.problems.length > 0) context.exitCode = EXIT.failed;
  await context.print(json ? JSON.stringify(report) : showReport(context, folder, report));
}

function showReport(context: Context, folder: string, report: CheckReport): string {
  const paint = paintFor(context.io.stdout, context.io.env);
  const rows: [string, string][] = [
    ["segments", showCount(report.segments)],
    ["batches", showCount(report.batches)],
    ["frames", showCount(report.frames)],
    ["events", showCount(report.events)],
    ["sessions", `${showCount(report.sessions)} (and ${showCount(report.erasedSessions)} erased)`],
    ["view records", showCount(report.viewRecords)],
    ["size", showBytes(report.bytes)],
  ];
  if (report.tornBytes > 0) {
    rows.push(["torn end", `${showBytes(report.tornBytes)}, never acknowledged; the next start cuts it off`]);
  }
  const counts = rows.map(([name, value]) => `${name.padEnd(13)} ${value}`).join("\n");
  if (report.problems.length === 0)
    return `${counts}\n${paint.green("sound")}: nothing is wrong in ${folder}`;
  const problems = report.problems.map(({ file, offset, why }) => `  ${file} at byte ${offset}: ${why}`);
  const title = paint.red(`damaged: ${report.problems.length} problem${problems.length === 1 ? "" : "s"}`);
  return `${counts}\n${title}\n${problems.join("\n")}`;
}

interface Copied {
  readonly files: number;
  readonly bytes: number;
}

async function copy(
  context: Context,
  command: Command,
  work: (show: (copied: Copied) => void) => Promise<Copied>,
): Promise<void> {
  const progress = progressOn(context.io);
  const { files, bytes } = await said(
    work((copied) => progress.show(`copied ${showBytes(copied.bytes)}`)),
  ).finally(() => progress.clear());
  const text = `copied ${files} file${files === 1 ? "" : "s"}, ${showBytes(bytes)}`;
  await context.print(context.wantsJson(command) ? JSON.stringify({ files, bytes }) : text);
}
