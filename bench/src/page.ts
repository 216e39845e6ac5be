import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Section } from "./options.js";

/** Where pictures stand, beside the page. */
const PLOTS = "plots";

/**
 * Puts what was printed into a Markdown page, so that nobody copies a figure by hand. A scenario's place in it:
 *
 *     <!-- bench: NAME -->
 *     …
 *     <!-- end -->
 *
 * @returns the scenarios that have no place
 */
export async function writeIntoPage(
  path: string,
  sections: readonly Section[],
  provenance: string,
): Promise<string[]> {
  const before = await readFile(path, "utf8");
  const [after, homeless] = intoPage(before, sections, provenance);
  const plots = join(dirname(path), PLOTS);
  for (const { scenario, plot } of sections) {
    if (plot === undefined || homeless.includes(scenario)) continue;
    await mkdir(plots, { recursive: true });
    await writeFile(join(plots, `${scenario}.svg`), plot);
  }
  await writeFile(path, after);
  return homeless;
}

export function intoPage(
  page: string,
  sections: readonly Section[],
  provenance: string,
): [page: string, homeless: string[]] {
  const homeless: string[] = [];
  let after = page;
  for (const { scenario, text, plot } of sections) {
    const begin = `<!-- bench: ${scenario} -->`;
    const from = after.indexOf(begin);
    const to = after.indexOf("<!-- end -->", from);
    if (from < 0 || to < 0) {
      homeless.push(scenario);
      continue;
    }
    const picture = plot === undefined ? [] : [`![${scenario}](${PLOTS}/${basename(scenario)}.svg)`];
    const block = [begin, `\`\`\`text\n${text.trimEnd()}\n\n${provenance}\n\`\`\``, ...picture].join("\n\n");
    after = `${after.slice(0, from)}${block}\n\n${after.slice(to)}`;
  }
  return [after, homeless];
}
