import { CommanderError } from "commander";
import { Context } from "./context.js";
import { EXIT } from "./exit-codes.js";
import { CommandFailure, ServerRefusal, ServerUnreachable } from "./failures.js";
import type { Io } from "./io.js";
import { buildProgram } from "./program.js";
import { isOpen } from "./write-output.js";

/**
 * Runs one command line, without the program's own name, to its end.
 * @returns the exit code. What is expected to go wrong has been said on stderr by then.
 *
 * @example
 * const exitCode = await run(["append", "ses_demo", "--text", "Hello"], processIo());
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  // A reader that goes away shows in `isOpen`; without a listener it would end the process.
  const ignore = (): void => undefined;
  io.stdout.on("error", ignore);
  io.stderr.on("error", ignore);
  const context = new Context(io);
  try {
    await buildProgram(context, args).parseAsync([...args], { from: "user" });
    return context.exitCode;
  } catch (error) {
    return exitCodeAfter(error, context);
  } finally {
    context.close();
  }
}

function exitCodeAfter(error: unknown, context: Context): number {
  if (error instanceof CommanderError) return exitCodeOf(error);
  if (!(error instanceof CommandFailure)) throw error;
  if (error.message !== "" && isOpen(context.io.stderr)) context.io.stderr.write(`${linesOf(error)}\n`);
  return error.exitCode;
}

/** The server's own words are passed on bare, as CODE (STATUS): MESSAGE. */
function linesOf(error: CommandFailure): string {
  if (error instanceof ServerRefusal) return error.message;
  if (!(error instanceof ServerUnreachable)) return `daybook: ${error.message}`;
  return `daybook: ${error.message}\n(\`daybook serve\` starts a server here; --base-url names another)`;
}

/** Commander has said what was wrong. Help that was asked for is no error; help for want of a command is. */
function exitCodeOf(error: CommanderError): number {
  return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
