import { byteLength } from "./state.js";
import { type JsonShape, LIMITS, parseJson, type RawJson } from "@daybook/protocol";
import { type Decision, type Facts, type Needs, reject, sessionNotFound } from "./decision.js";
import type { HeaderEntry, ImportedHeader } from "./entry.js";
import { type ForkedFrom, type Head, LogId, type SessionHeader } from "./head.js";

export interface Create {
  readonly session: LogId;
  readonly header: SessionHeader;
  readonly imported?: ImportedHeader;
  readonly forkedFrom?: ForkedFrom;
}

/** Creates a log. An id is used once: not again while it exists, and not after it was deleted. */
export function decideCreate(head: Head | undefined, command: Create): Decision<void> {
  if (head?.status === "deleted") {
    return reject("session_deleted", "A session with this id was deleted; a deleted id is never used again.");
  }
  if (head !== undefined) return reject("session_exists", "A session with this id exists.");
  return { kind: "commit", entries: [{ kind: "create", ...command }], answer: undefined };
}

export interface Patch {
  readonly title?: string | null;
  /** The exact text of a JSON object, merged member by member. */
  readonly metadata?: string;
  readonly expectedVersion?: number;
}

export function decidePatch(head: Head | undefined, facts: Facts, command: Patch): Decision<void> {
  if (head === undefined || head.status === "deleted") return sessionNotFound();
  if (command.expectedVersion !== undefined && command.expectedVersion !== head.version) {
    return reject(
      "expected_version_conflict",
      `expected_version is ${command.expectedVersion}, the record is at version ${head.version}.`,
      { current_version: head.version },
    );
  }
  const before = facts.header();
  const metadata =
    command.metadata === undefined ? before.metadata : mergeMembers(before.metadata, command.metadata);
  if (byteLength(metadata) > LIMITS.metadataBytesMax) {
    return reject(
      "invalid_metadata",
      `metadata would be over ${LIMITS.metadataBytesMax} bytes after merging.`,
    );
  }
  const title = command.title === undefined ? before.title : command.title;
  return {
    kind: "commit",
    entries: [{ kind: "patch", header: { ...before, title, metadata } }],
    answer: undefined,
  };
}

/** Creates the log, or gives it this metadata in the place of all it had; a closed one is open again. */
export function decidePut(
  head: Head | undefined,
  facts: Facts,
  command: { readonly session: LogId; readonly creator: SessionHeader["creator"]; readonly metadata: string },
): Decision<void> {
  const { session, creator, metadata } = command;
  if (head === undefined || head.status === "deleted")
    return decideCreate(head, { session, header: { creator, title: null, metadata } });
  const entries: HeaderEntry[] = [];
  if (head.status === "closed") entries.push({ kind: "reopen" });
  const before = facts.header();
  if (before.metadata !== metadata) entries.push({ kind: "patch", header: { ...before, metadata } });
  return entries.length === 0
    ? { kind: "answer", answer: undefined }
    : { kind: "commit", entries, answer: undefined };
}

/** Sets the flag. A second time is fine and writes nothing. */
export function decideArchive(head: Head | undefined, archived: boolean): Decision<void> {
  if (head === undefined || head.status === "deleted") return sessionNotFound();
  if (head.archived === archived) return { kind: "answer", answer: undefined };
  return { kind: "commit", entries: [{ kind: "archive", archived }], answer: undefined };
}

/** No more events. A second time is fine and writes nothing. */
export function decideClose(head: Head | undefined): Decision<void> {
  if (head === undefined || head.status === "deleted") return sessionNotFound();
  if (head.status === "closed") return { kind: "answer", answer: undefined };
  return { kind: "commit", entries: [{ kind: "close" }], answer: undefined };
}

/** The facts `decideErase` needs. Whether a session is a fork, and of which, never changes. */
export function needsOfErase(session: LogId, head: Head | undefined): Needs {
  const parent = parentOf(session, head);
  return parent === undefined ? {} : { others: [parent] };
}

/** Erases a session, and tells its parent that there is a fork less. Never under its forks: they share its bytes. */
export function decideErase(head: Head | undefined, session: LogId): Decision<void> {
  if (head === undefined || head.status === "deleted") return sessionNotFound();
  if (head.forks > 0) {
    return reject(
      "session_has_forks",
      `The session's events are shared by ${head.forks === 1 ? "a fork" : `${head.forks} forks`}. ` +
        "Delete them first, or all at once with ?cascade=true.",
      { forks: head.forks },
    );
  }
  const parent = parentOf(session, head);
  return {
    kind: "commit",
    entries: [{ kind: "erase", session }],
    ...(parent !== undefined && {
      others: [{ id: parent, entries: [{ kind: "unfork", fork: session.id }] }],
    }),
    answer: undefined,
  };
}

/** The parent of a session, if it is a fork. */
export function parentOf(session: LogId, head: Head | undefined): LogId | undefined {
  return head?.forkedFrom === undefined ? undefined : new LogId(session.tenant, head.forkedFrom.id);
}

const MEMBERS: JsonShape = { values: "raw" };
/** Deeper than anything that was let in: this never refuses. */
const DEPTH = { depthMax: 1000 };

/** Shallow merge that keeps every value's exact text; members keep their place, new ones come last. */
export function mergeMembers(before: string, changes: string): string {
  const merged = parseJson(before, MEMBERS, DEPTH) as Map<string, RawJson>;
  for (const [name, value] of parseJson(changes, MEMBERS, DEPTH) as Map<string, RawJson>) {
    merged.set(name, value);
  }
  return `{${[...merged].map(([name, value]) => `${JSON.stringify(name)}:${value.text}`).join(",")}}`;
}
