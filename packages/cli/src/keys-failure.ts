import { DaybookError } from "@daybook/protocol/errors";
import { CommandFailure, isDefect, UsageFailure } from "./failures.js";

/** What was wrong with a wish about keys, in the words of the command line. */
export async function saidOfKeys<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof DaybookError && error.code !== "not_found") throw new UsageFailure(error.message);
    if (error instanceof Error && !isDefect(error)) throw new CommandFailure(error.message);
    throw error;
  }
}
