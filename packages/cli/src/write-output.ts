import { OutputClosed } from "./failures.js";
import type { Output } from "./io.js";

/**
 * Writes, and waits while the reader is slow, so that nothing piles up here.
 * @throws OutputClosed when nobody reads any more.
 */
export async function writeOutput(output: Output, chunk: string | Uint8Array): Promise<void> {
  if (!isOpen(output)) throw new OutputClosed();
  if (!output.write(chunk)) await roomIn(output);
}

export function isOpen(output: Output): boolean {
  return !output.destroyed && output.errored === null && !output.writableEnded;
}

/** Resolves once there is room again, or nobody to wait for. */
async function roomIn(output: Output): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const name of ["drain", "close", "error"]) output.off(name, done);
      resolve();
    };
    for (const name of ["drain", "close", "error"]) output.once(name, done);
  });
}
