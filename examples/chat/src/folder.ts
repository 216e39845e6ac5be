import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** The folder that agents look into: that of this example. */
const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** What was not written by hand. */
const LEFT_OUT = /(^|\/)(node_modules|dist|daybook-data)(\/|$)/;
const READABLE = /\.(tsx?|css|html|json|md)$/;

export interface Hit {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

/** Paths from the folder, in a stable order. */
export async function listFiles(): Promise<string[]> {
  const names = await readdir(ROOT, { recursive: true });
  return names
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => READABLE.test(name) && !LEFT_OUT.test(name))
    .sort();
}

/** @throws Error when it is none of the files that are listed: nothing else on this machine is read */
export async function readLines(path: string): Promise<string[]> {
  if (!(await listFiles()).includes(path))
    throw new Error(`There is no file ${path}. list_files names them.`);
  const text = await readFile(new URL(path, new URL("../", import.meta.url)), "utf8");
  return text.replace(/\n$/, "").split("\n");
}

/** Lines that hold a text, whatever its case. */
export async function searchFiles(wanted: string): Promise<Hit[]> {
  const hits: Hit[] = [];
  for (const path of await listFiles())
    for (const [index, text] of (await readLines(path)).entries())
      if (text.toLowerCase().includes(wanted.toLowerCase())) hits.push({ path, line: index + 1, text });
  return hits;
}
