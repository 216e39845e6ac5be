import { mergeMembers, type NewEvent } from "@daybook/core";

/** An append that was sent: what it was, and what is known of its outcome. */
export interface Attempt {
  readonly events: readonly NewEvent[];
  /** One per event; stands in its payload and nowhere else. */
  readonly tokens: readonly string[];
  readonly batch: boolean;
  /** The seqs that were acknowledged, or found after a restart; undefined: it may have happened or not. */
  seqs: readonly number[] | undefined;
}

export interface HeaderState {
  readonly title: string | null;
  readonly metadata: string;
  readonly version: number;
  readonly archived: boolean;
}

export type HeaderChange =
  | { readonly kind: "create"; readonly header: HeaderState }
  | { readonly kind: "patch"; readonly title: string; readonly metadata: string }
  | { readonly kind: "archive"; readonly archived: boolean }
  | { readonly kind: "erase" };

export type Fate = HeaderState | "none" | "erased";

/** What must be true of one session: what was acknowledged, what was shown, and what may also have happened. */
export class SessionModel {
  /** As acknowledged. */
  fate: Fate = "none";
  /** A header change whose outcome is not known. There is one at a time, so that the order is known. */
  pending: HeaderChange | undefined;
  /** Events that were shown to some reader, from the first. Never to change again. */
  readonly shown: string[] = [];
  /** The highest acknowledged seq. */
  lastAcknowledged = 0;
  readonly attempts: Attempt[] = [];
  /** The newest attempt of each producer: it is sent again until its outcome is known. */
  readonly newest = new Map<string, Attempt>();

  /** For a fork. */
  parent: SessionModel | undefined;
  /** The last seq that a fork shares with its parent, once that is known. */
  sharedSeq = 0;

  constructor(readonly id: string) {}

  get mayBeErased(): boolean {
    return this.fate === "erased" || this.pending?.kind === "erase";
  }

  get mayLive(): boolean {
    return this.possible.some((fate) => typeof fate !== "string");
  }

  get mayBeMissing(): boolean {
    return this.possible.some((fate) => typeof fate === "string");
  }

  /** What the session may be now. */
  get possible(): Fate[] {
    return this.pending === undefined ? [this.fate] : [this.fate, after(this.fate, this.pending)];
  }

  acknowledge(change: HeaderChange): void {
    this.fate = after(this.fate, change);
    this.pending = undefined;
  }

  /** After a restart the question is settled. */
  settle(fate: Fate): void {
    this.fate = fate;
    this.pending = undefined;
  }

  /** A reader saw these events, the first of them at `seq`. Says what is wrong with that. */
  show(seq: number, events: readonly string[]): string | undefined {
    for (const [index, event] of events.entries()) {
      const at = seq - 1 + index;
      const known = this.shown[at];
      if (known !== undefined && known !== event)
        return `seq ${at + 1} of ${this.id} was ${known}, is ${event}`;
      if (at <= this.shown.length) this.shown[at] = event;
    }
    return undefined;
  }
}

function after(fate: Fate, change: HeaderChange): Fate {
  if (change.kind === "create") return change.header;
  if (change.kind === "erase") return "erased";
  if (typeof fate === "string") throw new Error(`${change.kind} of a session that is ${fate}`);
  if (change.kind === "archive") return { ...fate, archived: change.archived };
  return {
    ...fate,
    title: change.title,
    metadata: mergeMembers(fate.metadata, change.metadata),
    version: fate.version + 1,
  };
}
