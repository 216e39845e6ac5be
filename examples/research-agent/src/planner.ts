import type { Action, Memory } from "./memory.js";

export interface Decision {
  readonly action: Action;
  readonly because: string;
}

const SMALL_WORDS = new Set(
  "a an and are be by can do does for from happens has how i in is it its may my not of on or that the this to was what when where which who why will with".split(
    " ",
  ),
);

/** The words of a text that are worth a search, each once. */
export function termsOf(text: string): string[] {
  const words = text.toLowerCase().match(/[a-z][a-z0-9_-]+/g) ?? [];
  return [...new Set(words)].filter((word) => !SMALL_WORDS.has(word));
}

/**
 * What to do next, from what is known and nothing else: a model could stand here as well. Undefined: nothing, the work
 * is done.
 */
export function decide(memory: Memory): Decision | undefined {
  const { question, searched, draft, approval, published } = memory;
  if (published !== undefined) return undefined;
  const isAnswered = approval !== undefined && approval.draftVersion === draft?.version;
  for (const term of termsOf(`${question} ${approval?.lookFor ?? ""}`))
    if (!searched.includes(term))
      return { action: { kind: "search", term }, because: `nothing has been read about "${term}" yet` };
  if (draft === undefined || draft.terms.length < searched.length)
    return {
      action: { kind: "draft" },
      because: `${memory.findings.length} sections were read, and no draft rests on all of them`,
    };
  if (!isAnswered)
    return { action: { kind: "ask" }, because: `nobody has seen version ${draft.version} of the draft` };
  if (!approval.approved) return undefined;
  return {
    action: { kind: "publish" },
    because: `a person approved of version ${draft.version} of the draft`,
  };
}
