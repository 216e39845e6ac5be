import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface Section {
  /** FILE#HEADING */
  readonly id: string;
  /** The passage that says most about what was looked for. */
  readonly quote: string;
}

const HITS_MAX = 3;
const QUOTE_MAX = 240;

/** Looks for a term in the Markdown files of a folder, section by section; the best ones, in a stable order. */
export async function searchDocs(folder: string, term: string): Promise<Section[]> {
  const files = await readdir(folder, { recursive: true });
  const sections: (Section & { readonly count: number })[] = [];
  for (const file of files.filter((name) => name.endsWith(".md")).sort())
    sections.push(...sectionsOf(file, await readFile(join(folder, file), "utf8"), term));
  return sections
    .sort((a, b) => b.count - a.count || (a.id < b.id ? -1 : 1))
    .slice(0, HITS_MAX)
    .map(({ id, quote }) => ({ id, quote }));
}

function sectionsOf(file: string, text: string, term: string): (Section & { readonly count: number })[] {
  return text.split(/^(?=#+ )/m).flatMap((section) => {
    const [heading = "", ...lines] = section.split("\n");
    const passages = passagesOf(lines.join("\n"));
    const best = passages.reduce((a, b) => (countOf(b, term) > countOf(a, term) ? b : a), "");
    const count = passages.reduce((sum, passage) => sum + countOf(passage, term), 0);
    return count === 0
      ? []
      : [{ id: `${file}#${heading.replace(/^#+ /, "")}`, quote: shortened(best), count }];
  });
}

/** Paragraphs and items of lists; tables and code make no quotes. */
function passagesOf(text: string): string[] {
  return text.split(/\n\s*\n|\n(?=- )/).filter((passage) => !/^\s*(\||```)/.test(passage));
}

function countOf(text: string, term: string): number {
  return text.toLowerCase().split(term).length - 1;
}

function shortened(passage: string): string {
  const plain = passage.replace(/\s+/g, " ").replace(/^ ?- /, "").trim();
  return plain.length <= QUOTE_MAX ? plain : `${plain.slice(0, QUOTE_MAX)}…`;
}
