import type { Context } from "./context.js";
import { Interrupted } from "./failures.js";
import { exitCodeOfSignal } from "./io.js";

/** Runs until it is done or a signal ends it, and then exits as shells expect. */
export async function untilSignal(
  context: Context,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const abort = new AbortController();
  let exitCode: number | undefined;
  const stopListening = context.io.onEndSignal((signal) => {
    exitCode = exitCodeOfSignal(signal);
    abort.abort();
    // A second one ends the process at once, even while a pager does not take what we write.
    stopListening();
  });
  try {
    await run(abort.signal);
  } catch (error) {
    throw exitCode === undefined ? error : new Interrupted("", exitCode);
  } finally {
    stopListening();
  }
}
