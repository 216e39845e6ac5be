import type { EventEntry, StateOperation } from "./entry.js";
import { type Decision, type Facts, type Needs, reject, sessionNotFound } from "./decision.js";
import { encodeEvent, foldedAs, type NewEvent, sameContent } from "./event-json.js";
import type { Head } from "./head.js";
import { seqOfPair } from "./producer-window.js";
import { brokenCondition, type KeyVersion, keysOf, nextVersion } from "./state.js";

export interface Append {
  readonly events: readonly NewEvent[];
  readonly expectedSeq?: number;
  /** True for a list of events: a refusal then says which one. */
  readonly batch: boolean;
}

export interface Appended {
  readonly results: readonly { readonly seq: number; readonly deduped: boolean }[];
  readonly lastSeq: number;
}

/** The facts `decideAppend` will ask for. */
export function needsOfAppend(command: Append): Needs {
  const pairs: { producerId: string; producerSeq: number }[] = [];
  const keys: string[] = [];
  const idempotencyKeys: string[] = [];
  for (const event of command.events) {
    if (event.producer !== null)
      pairs.push({ producerId: event.producer.id, producerSeq: event.producer.seq });
    else if (event.idempotencyKey !== undefined) idempotencyKeys.push(event.idempotencyKey);
    if (event.state !== undefined) keys.push(...keysOf(event.state));
  }
  return { pairs, keys, idempotencyKeys };
}

/**
 * Appends one event or a list, all or nothing. A pair (producer, number) seen before answers its first seq, whatever
 * `expectedSeq` says now and even if the session was closed since: the first try did take effect.
 */
export function decideAppend(
  head: Head | undefined,
  facts: Facts,
  command: Append,
  now: { readonly iso: string },
): Decision<Appended> {
  if (head === undefined || head.status === "deleted") return sessionNotFound();
  const run = new AppendRun(head, facts, now.iso, command.events.length > 1);
  for (const [index, event] of command.events.entries()) {
    const refusal = run.add(event, command.expectedSeq);
    if (refusal?.kind === "reject") return command.batch ? atIndex(refusal, index) : refusal;
  }
  const answer: Appended = { results: run.results, lastSeq: run.lastSeq };
  return run.entries.length === 0
    ? { kind: "answer", answer }
    : { kind: "commit", entries: run.entries, answer };
}

const NO_OPERATIONS: readonly StateOperation[] = [];

/** One append in progress: what the events before this one in the list already changed. */
class AppendRun {
  readonly entries: EventEntry[] = [];
  readonly results: { seq: number; deduped: boolean }[] = [];
  lastSeq: number;
  // Made once there is something to remember for the events behind: most appends are of one.
  private lastOfProducer: Map<string, number> | undefined;
  private keys: Map<string, KeyVersion> | undefined;

  constructor(
    private readonly head: Head,
    private readonly facts: Facts,
    private readonly insertedAt: string,
    private readonly isList: boolean,
  ) {
    this.lastSeq = head.lastSeq;
  }

  add(event: NewEvent, expectedSeq: number | undefined): Decision<never> | undefined {
    const known = this.known(event);
    if (known !== undefined) {
      if (!sameContent(known.json, event)) return replayConflict(event);
      this.results.push({ seq: known.seq, deduped: true });
      return undefined;
    }
    const refusal = this.refuse(event, expectedSeq);
    if (refusal !== undefined) return refusal;
    this.commit(event);
    return undefined;
  }

  private refuse(event: NewEvent, expectedSeq: number | undefined): Decision<never> | undefined {
    if (this.head.status === "closed")
      return reject("session_closed", "The session is closed: it takes no more events.");
    if (event.producer !== null) {
      const last = this.lastOf(event.producer.id);
      if (last !== undefined && event.producer.seq !== last + 1) return notNext(event.producer, last);
    }
    if (expectedSeq !== undefined && expectedSeq !== this.head.lastSeq) {
      return reject(
        "expected_seq_conflict",
        `expected_seq is ${expectedSeq}, the session's last seq is ${this.head.lastSeq}.`,
        {
          current_seq: this.head.lastSeq,
        },
      );
    }
    const broken =
      event.state === undefined ? undefined : brokenCondition(event.state, (key) => this.keyOf(key));
    if (broken === undefined) return undefined;
    return reject(
      "state_conflict",
      `state.if does not hold: ${JSON.stringify(broken.key)} is at version ${broken.version}.`,
      {
        key: broken.key,
        current_version: broken.version,
        current_seq: broken.seq,
      },
    );
  }

  private commit(event: NewEvent): void {
    const seq = ++this.lastSeq;
    const operations = event.state?.operations ?? NO_OPERATIONS;
    const json = encodeEvent(event, seq, this.insertedAt);
    const { producer, isMessage, idempotencyKey } = foldedAs(event, event.producer);
    this.entries.push({ kind: "event", seq, json, state: operations, producer, isMessage, idempotencyKey });
    this.results.push({ seq, deduped: false });
    if (this.isList) this.remember(event, operations, seq);
  }

  private remember({ producer }: NewEvent, operations: readonly StateOperation[], seq: number): void {
    if (operations.length > 0) this.keys ??= new Map<string, KeyVersion>();
    for (const operation of operations) {
      this.keys?.set(operation.key, nextVersion(this.keyOf(operation.key), operation, seq));
    }
    if (producer === null) return;
    this.lastOfProducer ??= new Map<string, number>();
    this.lastOfProducer.set(producer.id, producer.seq);
  }

  /** What this event already became, if it is sent again. */
  private known(event: NewEvent): { seq: number; json: string } | undefined {
    if (event.producer !== null) return this.knownPair(event.producer.id, event.producer.seq);
    const { idempotencyKey } = foldedAs(event, null);
    if (idempotencyKey === undefined) return undefined;
    const here = this.entries.find((entry) => entry.idempotencyKey === idempotencyKey);
    if (here !== undefined) return here;
    const seq = this.facts.seqOfKey(idempotencyKey);
    return seq === undefined ? undefined : { seq, json: this.facts.eventJson(seq) };
  }

  /** The event this pair already became: in the log, or earlier in this very list. */
  private knownPair(producerId: string, producerSeq: number): { seq: number; json: string } | undefined {
    if (producerSeq <= (this.lastOfProducer?.get(producerId) ?? 0)) {
      const here = this.entries.find(
        ({ producer }) => producer?.id === producerId && producer.seq === producerSeq,
      );
      if (here !== undefined) return here;
    }
    const window = this.facts.producer(producerId);
    const seq = window === undefined ? undefined : seqOfPair(window, producerSeq);
    return seq === undefined ? undefined : { seq, json: this.facts.eventJson(seq) };
  }

  private lastOf(producerId: string): number | undefined {
    return this.lastOfProducer?.get(producerId) ?? this.facts.producer(producerId)?.last;
  }

  private keyOf(key: string): KeyVersion | undefined {
    return this.keys?.get(key) ?? this.facts.key(key);
  }
}

function replayConflict(event: NewEvent): Decision<never> {
  if (event.producer === null) {
    return reject(
      "idempotency_key_reused",
      "This idempotency key was used before for a message with other content. Send the same message again, or take another key.",
    );
  }
  return reject(
    "producer_replay_conflict",
    `producer_seq ${event.producer.seq} of this producer_id was used before for an event with other content. ` +
      "Send the same event again, or take the next producer_seq.",
  );
}

function notNext(producer: { seq: number }, last: number): Decision<never> {
  return reject(
    "producer_seq_conflict",
    `producer_seq is ${producer.seq}, this producer's next one is ${last + 1}.`,
    {
      expected_producer_seq: last + 1,
    },
  );
}

function atIndex(refusal: Extract<Decision<never>, { kind: "reject" }>, index: number): Decision<never> {
  const { code, message, details } = refusal.error;
  return reject(code, `events[${index}]: ${message}`, { ...details, index });
}
