import { createReadStream } from "node:fs";
import type { Context } from "./context.js";
import { CommandFailure, messageOf } from "./failures.js";
import type { Input } from "./io.js";

/** Reads a file, or standard input if there is none or it is `-`. @throws CommandFailure when that cannot be read */
export async function withInput<Result>(
  context: Context,
  file: string | undefined,
  read: (input: Input) => Promise<Result>,
): Promise<Result> {
  const input: Input = file === undefined || file === "-" ? context.io.stdin : createReadStream(file);
  try {
    return await read(input);
  } catch (error) {
    // Not whenever the input has an error: to read no further gives it one, too.
    if (error !== input.errored) throw error;
    throw new CommandFailure(`cannot read ${file ?? "standard input"}: ${messageOf(error)}`);
  }
}
