import { DaybookError } from "@daybook/protocol/errors";
import { CommandFailure, UsageFailure } from "./failures.js";

/** What was wrong with a wish about keys, in the words of the command line. */
export async function saidOfKeys<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof DaybookError)) throw error;
    throw error.code === "not_found" ? new CommandFailure(error.message) : new UsageFailure(error.message);
  }
}
