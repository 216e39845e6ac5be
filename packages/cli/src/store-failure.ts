import { CommandFailure, isDefect, messageOf } from "./failures.js";

/** A refusal of the store as `CODE: MESSAGE`; other errors of files and folders as what they say. */
export async function whatTheStoreSays(error: unknown): Promise<unknown> {
  const { StoreRefused } = await import("@daybook/server");
  if (error instanceof StoreRefused) return new CommandFailure(`${error.code}: ${error.message}`);
  if (error instanceof Error && !isDefect(error)) return new CommandFailure(messageOf(error));
  return error;
}
