import { type Decision, type Facts, type Needs, reject, sessionNotFound } from "./decision.js";
import type { EventEntry } from "./entry.js";
import { encodeEvent, foldedAs, isServerNumbered, type NewEvent } from "./event-json.js";
import type { Head } from "./head.js";

/** An event that has a history: it keeps its seq and the time it was first written. */
export interface ImportedEvent {
  readonly seq: number;
  readonly insertedAt: string;
  readonly event: NewEvent;
}

/** The facts `decideImport` will ask for. */
export function needsOfImport(events: readonly ImportedEvent[]): Needs {
  return { seqs: events.map(({ seq }) => seq) };
}

/**
 * Takes over events with their seqs. What is there already is passed over if it is the very same, so that an import
 * that broke off can be sent again; anything else would change history and is refused.
 */
export function decideImport(
  head: Head | undefined,
  facts: Facts,
  events: readonly ImportedEvent[],
): Decision<{ readonly lastSeq: number }> {
  if (head === undefined || head.status === "deleted") return sessionNotFound();
  if (head.status === "closed")
    return reject("session_closed", "The session is closed: it takes no more events.");
  const entries: EventEntry[] = [];
  const lastOf = new Map<string, number>();
  for (const { seq, insertedAt, event } of events) {
    const json = encodeEvent(event, seq, insertedAt);
    const next = head.lastSeq + entries.length + 1;
    if (seq <= head.lastSeq && facts.eventJson(seq) === json) continue;
    if (seq !== next) {
      const why = seq < next ? "another event is there" : `the next one is ${next}`;
      return reject("expected_seq_conflict", `seq ${seq} cannot be imported: ${why}.`, {
        current_seq: head.lastSeq,
      });
    }
    const numbered = !isServerNumbered(event, seq) && contiguous(event.producer, facts, lastOf);
    const producer = numbered ? event.producer : null;
    if (producer !== null) lastOf.set(producer.id, producer.seq);
    const state = event.state?.operations ?? [];
    entries.push({ kind: "event", seq, json, state, ...foldedAs(event, producer) });
  }
  const answer = { lastSeq: head.lastSeq + entries.length };
  return entries.length === 0 ? { kind: "answer", answer } : { kind: "commit", entries, answer };
}

/** A producer window holds contiguous numbers; events the server had numbered itself leave gaps and keep none. */
function contiguous(producer: NewEvent["producer"], facts: Facts, lastOf: Map<string, number>): boolean {
  if (producer === null) return false;
  const last = lastOf.get(producer.id) ?? facts.producer(producer.id)?.last;
  return last === undefined || producer.seq === last + 1;
}
