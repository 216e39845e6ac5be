import { LIMITS } from "@daybook/protocol";
import { type Decision, type Facts, type Needs, reject, sessionNotFound } from "./decision.js";
import { type Create, decideCreate } from "./decide-header.js";
import type { Head, LogId } from "./head.js";

export interface Fork {
  readonly parent: LogId;
  /** The new session. */
  readonly create: Omit<Create, "forkedFrom" | "imported">;
  /** The last seq they share; left out: all there is. */
  readonly atSeq?: number;
}

/** The facts `decideFork` will ask for. */
export function needsOfFork({ create }: Fork): Needs {
  return { others: [create.session] };
}

/**
 * Makes a session that shares another's entries up to a seq. An entry in the parent's log comes first, so that it is
 * settled there which was earlier, a fork or a deletion. Closed and archived sessions can be forked: nothing of them changes.
 */
export function decideFork(
  head: Head | undefined,
  facts: Facts,
  { parent, create, atSeq }: Fork,
): Decision<void> {
  if (head === undefined || head.status === "deleted") return sessionNotFound();
  const { lastSeq } = head;
  const seq = atSeq ?? lastSeq;
  if (seq > lastSeq) {
    return reject("invalid_cursor", `at_seq is ${seq}, the session's last seq is ${lastSeq}.`, {
      last_seq: lastSeq,
    });
  }
  const depth = (head.forkedFrom?.depth ?? 0) + 1;
  if (depth > LIMITS.forkDepthMax) {
    return reject(
      "fork_too_deep",
      `The session is a fork of a fork … ${LIMITS.forkDepthMax} deep; that is as deep as forks go.`,
    );
  }
  const created = decideCreate(facts.headOf(create.session), {
    ...create,
    forkedFrom: { id: parent.id, seq, depth },
  });
  if (created.kind !== "commit") return created;
  return {
    kind: "commit",
    entries: [{ kind: "fork", fork: create.session.id, seq }],
    others: [{ id: create.session, entries: created.entries }],
    answer: undefined,
  };
}
