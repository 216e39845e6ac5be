import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { CommandFailure, messageOf } from "./failures.js";
import type { Output } from "./io.js";

/** Writes a file under another name until it is whole: half of it must not be taken for all. */
export async function writeWholeFile<Result>(
  path: string,
  write: (file: Output) => Promise<Result>,
): Promise<Result> {
  const draft = `${path}.${process.pid}.partial`;
  const file = createWriteStream(draft, { mode: 0o600 });
  // Found out by the next write, or by waiting for the end.
  file.on("error", () => undefined);
  try {
    const result = await write(file);
    file.end();
    await finished(file);
    await rename(draft, path);
    return result;
  } catch (error) {
    file.destroy();
    await rm(draft, { force: true });
    if (file.errored === null) throw error;
    throw new CommandFailure(`cannot write ${path}: ${messageOf(file.errored)}`);
  }
}
