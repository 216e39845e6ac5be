import type { ForkedFrom, Head, LogId, SessionHeader } from "./head.js";

/** One key's change inside an event's `state`, in the order it is applied. */
export type StateOperation =
  { readonly kind: "set"; readonly key: string } | { readonly kind: "delete"; readonly key: string };

/** An event has a seq. Its JSON is made once, here; whoever reads it sends these very bytes. */
export interface EventEntry {
  readonly kind: "event";
  readonly seq: number;
  readonly json: string;
  /** None for events the server numbers itself: they keep no producer window. */
  readonly producer: { readonly id: string; readonly seq: number } | null;
  readonly state: readonly StateOperation[];
  /** It counts as a message of the conversation that the log is. */
  readonly isMessage: boolean;
  /** What a retry of it is recognised by, when it has no producer. Only messages have one. */
  readonly idempotencyKey: string | undefined;
}

/** A header change has no seq: it stands after one. */
export type HeaderEntry =
  | {
      readonly kind: "create";
      readonly session: LogId;
      readonly header: SessionHeader;
      /** Only an import brings these along. */
      readonly imported?: ImportedHeader;
      /** A fork's log begins behind what it shares. */
      readonly forkedFrom?: ForkedFrom;
    }
  | { readonly kind: "patch"; readonly header: SessionHeader }
  | { readonly kind: "archive"; readonly archived: boolean }
  | { readonly kind: "close" }
  | { readonly kind: "reopen" }
  /** In the parent's log: a fork was made, sharing what is up to `seq`; and it was deleted. */
  | { readonly kind: "fork"; readonly fork: string; readonly seq: number }
  | { readonly kind: "unfork"; readonly fork: string }
  | { readonly kind: "erase"; readonly session: LogId };

export interface ImportedHeader {
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly version: number;
  readonly archived: boolean;
}

export type Entry = EventEntry | HeaderEntry;

/**
 * The next head. The rules were asked before; here a broken one is a defect, so it throws: writing on would
 * turn one wrong entry into a wrong log.
 */
export function applyEntry(head: Head | undefined, entry: Entry, atMs: number): Head {
  if (entry.kind === "create") {
    must(head === undefined, "create on a log that exists");
    return createdHead(entry, atMs);
  }
  if (entry.kind === "event") return headAfterEvents(head, entry.seq, 1);
  must(head !== undefined, `${entry.kind} on a log that does not exist`);
  must(head.status !== "deleted", `${entry.kind} on a deleted log`);
  const moved = { ...head, position: head.position + 1 };
  const next = { ...moved, updatedAtMs: Math.max(head.updatedAtMs, atMs) };
  switch (entry.kind) {
    // Forks are sessions of their own: the record stays as it is.
    case "fork":
      must(entry.seq <= head.lastSeq, `fork at ${entry.seq} of a log that ends at ${head.lastSeq}`);
      return { ...moved, forks: head.forks + 1 };
    case "unfork":
      must(head.forks > 0, "unfork of a log without forks");
      return { ...moved, forks: head.forks - 1 };
    case "patch":
      return { ...next, version: head.version + 1 };
    case "archive":
      return { ...next, archived: entry.archived };
    case "close":
      return { ...next, status: "closed" };
    case "reopen":
      return { ...next, status: "open" };
    case "erase":
      return { ...next, status: "deleted" };
  }
}

/** The same for events, which change nothing but where the log ends. */
export function headAfterEvents(head: Head | undefined, firstSeq: number, count: number): Head {
  must(head?.status === "open", "event on a log that is not open");
  if (firstSeq !== head.lastSeq + 1) must(false, `event ${firstSeq} after ${head.lastSeq}`);
  return {
    position: head.position + count,
    lastSeq: head.lastSeq + count,
    version: head.version,
    status: "open",
    archived: head.archived,
    createdAtMs: head.createdAtMs,
    updatedAtMs: head.updatedAtMs,
    forks: head.forks,
    forkedFrom: head.forkedFrom,
  };
}

function createdHead(entry: Extract<HeaderEntry, { kind: "create" }>, atMs: number): Head {
  const { imported, forkedFrom } = entry;
  return {
    position: 1,
    lastSeq: forkedFrom?.seq ?? 0,
    version: imported?.version ?? 1,
    status: "open",
    archived: imported?.archived ?? false,
    createdAtMs: imported?.createdAtMs ?? atMs,
    updatedAtMs: imported?.updatedAtMs ?? atMs,
    forks: 0,
    forkedFrom,
  };
}

function must(condition: boolean, broken: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${broken}`);
}
