import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes a folder, and those above it, for nobody else to look into. In place of a recursive `mkdir`, which never returns
 * where a folder that is there takes no others (`/proc`).
 * @returns the first one that had to be made, from the top
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  try {
    return await makeMissing(resolve(path));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The folder ${path} cannot be made: ${why}.`, { cause });
  }
}

async function makeMissing(path: string): Promise<string | undefined> {
  const error = await mkdirError(path);
  if (error === undefined) return path;
  if (error.code === "EEXIST" && (await stat(path)).isDirectory()) return undefined;
  if (error.code !== "ENOENT" || dirname(path) === path) throw error;
  const first = await makeMissing(dirname(path));
  // Somebody else may make it at the same moment.
  const again = await mkdirError(path);
  if (again !== undefined && again.code !== "EEXIST") throw again;
  return first ?? path;
}

async function mkdirError(path: string): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(path, { mode: 0o700 });
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}
