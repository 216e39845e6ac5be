import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StateChange } from "@daybook/client";
import type { Action, Draft, Finding, Memory } from "./memory.js";
import { searchDocs, type Section } from "./search-docs.js";

export interface Folders {
  /** What is read. */
  readonly docs: string;
  /** Where reports go. */
  readonly reports: string;
}

/** What came of an action, and what it changes in the memory. */
export interface Outcome {
  readonly text: string;
  readonly set: NonNullable<StateChange["set"]>;
}

const SOURCES_MAX = 4;

/**
 * Does what was decided. After a crash it is done again, so each of these does the same when done twice; that its result
 * is remembered once is the session's affair.
 */
export async function act(
  action: Exclude<Action, { readonly kind: "ask" }>,
  memory: Memory,
  folders: Folders,
  name: string,
): Promise<Outcome> {
  switch (action.kind) {
    case "search":
      return remembered(action.term, await searchDocs(folders.docs, action.term), memory);
    case "draft": {
      const draft = draftOf(memory);
      return { text: draft.text, set: { draft } };
    }
    case "publish": {
      await mkdir(folders.reports, { recursive: true });
      const file = join(folders.reports, `${name}.md`);
      await writeFile(file, memory.draft?.text ?? "");
      return { text: `Published: ${file}`, set: { published: file } };
    }
  }
}

function remembered(term: string, sections: readonly Section[], { findings }: Memory): Outcome {
  const found = sections.map((section): [string, Finding] => {
    const known = findings.find(({ id }) => id === section.id) ?? { ...section, terms: [] };
    return [`found/${section.id}`, { ...known, terms: [...new Set([...known.terms, term])] }];
  });
  return {
    text: `${sections.length} sections speak of "${term}".`,
    set: { ...Object.fromEntries(found), [`searched/${term}`]: sections.length },
  };
}

/** What is found by several terms says most. */
function draftOf({ question, searched, findings }: Memory): Draft {
  const best = [...findings].sort((a, b) => b.terms.length - a.terms.length).slice(0, SOURCES_MAX);
  const lines = best.map(({ id, quote, terms }) => `- ${quote}\n  (${id}; ${terms.join(", ")})`);
  return { text: [`# ${question}`, "", ...lines, ""].join("\n"), terms: searched };
}
