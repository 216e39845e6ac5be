import type { Session, StateEntry } from "@daybook/client";
import type { Section } from "./search-docs.js";

/** What the agent may do next. */
export type Action =
  | { readonly kind: "search"; readonly term: string }
  | { readonly kind: "draft" }
  | { readonly kind: "ask" }
  | { readonly kind: "publish" };

/** A section that was found, and by which terms. */
export type Finding = Section & { readonly terms: readonly string[] };

export interface Draft {
  readonly text: string;
  /** The searches it rests on. */
  readonly terms: readonly string[];
}

/** What a person said to a draft. */
export interface Approval {
  readonly approved: boolean;
  /** Which version of the draft was meant. */
  readonly draftVersion: number;
  /** What to read about before asking again. */
  readonly lookFor?: string;
}

/**
 * All the agent knows. It is kept in the session's state and nowhere else, under these keys:
 *
 *     question           what a person wants to know
 *     doing              the action that was decided and has no result yet
 *     searched/TERM      how many sections were found
 *     found/ID           a section: Finding
 *     draft, approval    Draft, Approval
 *     published          where the report is
 */
export interface Memory {
  /** Nothing after this event is known. */
  readonly seq: number;
  readonly question: string;
  readonly doing: (StateEntry & { readonly value: Action }) | undefined;
  readonly searched: readonly string[];
  readonly findings: readonly Finding[];
  readonly draft: (Draft & { readonly version: number }) | undefined;
  readonly approval: Approval | undefined;
  readonly published: string | undefined;
}

/** Reads the memory as of one seq: a decision that is made from it can say what it rests on. */
export async function recall(session: Session, seq: number): Promise<Memory> {
  const entries = new Map<string, StateEntry>();
  for await (const entry of session.state.at(seq).list()) entries.set(entry.key, entry);
  const value = (key: string): unknown => entries.get(key)?.value;
  const under = (prefix: string): StateEntry[] =>
    [...entries.values()].filter(({ key }) => key.startsWith(prefix));
  const draft = value("draft") as Draft | undefined;
  return {
    seq,
    question: (value("question") as string | undefined) ?? "",
    doing: entries.get("doing") as Memory["doing"],
    searched: under("searched/").map(({ key }) => key.slice("searched/".length)),
    findings: under("found/").map((entry) => entry.value as Finding),
    draft: draft && { ...draft, version: entries.get("draft")?.version ?? 0 },
    approval: value("approval") as Approval | undefined,
    published: value("published") as string | undefined,
  };
}
