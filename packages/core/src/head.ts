/** Names a log. A session's log is named by its id; ids hold no `/`, so names with one are free for other logs. */
export class LogId {
  /** One text for maps; neither part can hold a NUL. */
  readonly key: string;

  constructor(
    readonly tenant: string,
    readonly id: string,
  ) {
    this.key = `${tenant}\0${id}`;
  }

  /** Other logs are in no list and in no lifecycle feed, and no client can name them. */
  get isSession(): boolean {
    return !this.id.includes("/");
  }
}

/** What a session says about itself: kept whole in its newest header entry, so that one read answers. */
export interface SessionHeader {
  readonly creator: { readonly type: string; readonly id: string };
  readonly title: string | null;
  /** The exact text of a JSON object. */
  readonly metadata: string;
}

/** Where a fork begins: it shares all that its parent was up to a seq. Never changes. */
export interface ForkedFrom {
  /** The parent's id. Parent and fork belong to one tenant. */
  readonly id: string;
  readonly seq: number;
  /** How many ancestors there are: 1 for a fork of a session that is none itself. */
  readonly depth: number;
}

/** What a log knows about itself. A value: every change makes a new one. */
export interface Head {
  /** Entries of all kinds, header changes too. */
  readonly position: number;
  readonly lastSeq: number;
  /** Counts changes of title and metadata, from 1. */
  readonly version: number;
  readonly status: "open" | "closed" | "deleted";
  readonly archived: boolean;
  readonly createdAtMs: number;
  /** When the record last changed; events leave it alone. */
  readonly updatedAtMs: number;
  /** Forks of this log that were not deleted. While there are any, it cannot be. */
  readonly forks: number;
  readonly forkedFrom: ForkedFrom | undefined;
}
