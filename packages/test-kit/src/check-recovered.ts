import { decodeEvent, isMessage, type KeyVersion, readStateChange, seqOfPair } from "@daybook/core";
import type { Engine } from "@daybook/engine";
import { factsOf, readAll, sessionId } from "@daybook/engine/contract/commands";
import { RawJson } from "@daybook/protocol";
import type { Attempt, Fate, SessionModel } from "./session-model.js";
import { tokenOf, type Workload } from "./workload.js";

/**
 * Compares an engine that was opened again with what the model knows, and settles what the model did not know. Throws
 * when something acknowledged is missing, something shown was taken back, or something is there that nobody sent.
 */
export async function checkRecovered(engine: Engine, workload: Workload): Promise<void> {
  const eventsOf = new Map<SessionModel, readonly string[]>();
  for (const session of workload.sessions.values()) {
    const fate = await fateOf(engine, session.id);
    const possible = session.possible.map((one) => JSON.stringify(one));
    if (!possible.includes(JSON.stringify(fate)))
      throw new Error(`${session.id} is ${JSON.stringify(fate)} and can only be ${possible.join(" or ")}`);
    session.settle(fate);
    if (typeof fate === "string") continue;
    const events = await readAll(engine, session.id);
    eventsOf.set(session, events);
    checkShared(engine, session, events, eventsOf);
    checkEvents(session, events);
    await checkFacts(engine, session, events);
    await checkState(engine, session, events);
    await checkMessages(engine, session.id, events);
  }
  checkForks(engine, [...eventsOf.keys()]);
}

/** What a fork shares is there, the very same as in its parent. */
function checkShared(
  engine: Engine,
  session: SessionModel,
  events: readonly string[],
  eventsOf: ReadonlyMap<SessionModel, readonly string[]>,
): void {
  const { id, parent } = session;
  const from = engine.head(sessionId(id))?.forkedFrom;
  if (from?.id !== parent?.id)
    throw new Error(`${id} is a fork of ${from?.id ?? "none"}, not of ${parent?.id ?? "none"}`);
  if (from === undefined || parent === undefined) return;
  session.sharedSeq = from.seq;
  const shared = eventsOf.get(parent)?.slice(0, from.seq);
  if (shared === undefined) throw new Error(`${id} is a fork of ${parent.id}, which is not there`);
  if (shared.length < from.seq || shared.some((json, index) => json !== events[index]))
    throw new Error(`${id} does not share the first ${from.seq} events of ${parent.id}`);
}

/** Every session knows how many forks it has. */
function checkForks(engine: Engine, living: readonly SessionModel[]): void {
  for (const session of living) {
    const count = living.filter(({ parent }) => parent === session).length;
    const forks = engine.head(sessionId(session.id))?.forks;
    if (forks !== count) throw new Error(`${session.id} has ${count} forks, and says ${forks ?? 0}`);
  }
}

async function fateOf(engine: Engine, id: string): Promise<Fate> {
  const head = engine.head(sessionId(id));
  if (head === undefined) return "none";
  if (head.status === "deleted") return "erased";
  const found = await engine.session(sessionId(id));
  if (found === undefined) throw new Error(`${id} has a head and no header`);
  const { title, metadata } = found.header;
  return { title, metadata, version: head.version, archived: head.archived };
}

function checkEvents(session: SessionModel, events: readonly string[]): void {
  if (events.length < session.shown.length)
    throw new Error(`${session.id}: ${session.shown.length} events were shown, ${events.length} are there`);
  const wrong = session.show(1, events);
  if (wrong !== undefined) throw new Error(wrong);
  const own = events.slice(session.sharedSeq);
  const found = new Map(own.map((json, index) => [tokenOf(json), session.sharedSeq + index + 1]));
  if (found.size !== own.length) throw new Error(`${session.id}: an event is there twice`);
  for (const attempt of session.attempts) settleAttempt(session, attempt, found);
  if (found.size > 0) throw new Error(`${session.id}: nobody sent ${[...found.keys()].join(", ")}`);
  session.lastAcknowledged = events.length;
}

function settleAttempt(session: SessionModel, attempt: Attempt, found: Map<string, number>): void {
  const seqs = attempt.tokens.flatMap((token) => found.get(token) ?? []);
  if (attempt.seqs !== undefined && String(seqs) !== String(attempt.seqs))
    throw new Error(`${session.id}: acknowledged ${String(attempt.seqs)}, there are ${String(seqs)}`);
  if (seqs.length !== 0 && seqs.length !== attempt.tokens.length)
    throw new Error(`${session.id}: half of a batch: ${String(seqs)}`);
  if (seqs.length > 0) attempt.seqs = seqs;
  for (const token of attempt.tokens) found.delete(token);
}

/** Producer windows are the fold of a session's own events, key versions that of all. */
async function checkFacts(
  engine: Engine,
  { id, sharedSeq }: SessionModel,
  events: readonly string[],
): Promise<void> {
  const pairs: { id: string; producerSeq: number; seq: number }[] = [];
  const keyed = new Map<string, number>();
  const keys = new Map<string, KeyVersion>();
  for (const [index, json] of events.entries()) {
    const { producer_id, producer_seq, idempotency_key: key, state } = decodeEvent(json);
    if (index >= sharedSeq && key !== null) keyed.set(key, index + 1);
    else if (index >= sharedSeq) pairs.push({ id: producer_id, producerSeq: producer_seq, seq: index + 1 });
    if (state === undefined) continue;
    for (const { key, kind } of readStateChange(new RawJson(state.text, "object")).operations) {
      const version = (keys.get(key)?.version ?? 0) + 1;
      keys.set(key, { version, seq: index + 1, deleted: kind === "delete" });
    }
  }
  await factsOf(engine, id, { keys: ["a", "b", "c"] }, (head, facts) => {
    if (head?.lastSeq !== events.length) throw new Error(`${id}: the head says ${head?.lastSeq ?? 0}`);
    for (const pair of pairs) {
      const window = facts.producer(pair.id);
      const seq = window === undefined ? undefined : seqOfPair(window, pair.producerSeq);
      if (seq !== pair.seq)
        throw new Error(`${id}: ${pair.id} ${pair.producerSeq} became ${pair.seq}, not ${seq ?? 0}`);
    }
    for (const [key, seq] of keyed) {
      const is = facts.seqOfKey(key);
      if (is !== seq) throw new Error(`${id}: the key ${key} became ${seq}, not ${is ?? 0}`);
    }
    for (const key of ["a", "b", "c"]) {
      const [is, should] = [facts.key(key), keys.get(key)].map((version) => JSON.stringify(version));
      if (is !== should) throw new Error(`${id}: key ${key} is ${is ?? "absent"}, not ${should ?? "absent"}`);
    }
  });
}

/** State as of a seq is the fold of the events up to it: looked at around where a fork begins, and at the ends. */
async function checkState(
  engine: Engine,
  { id, sharedSeq }: SessionModel,
  events: readonly string[],
): Promise<void> {
  for (const atSeq of new Set([0, sharedSeq, sharedSeq + 1, events.length >> 1, events.length])) {
    if (atSeq > events.length) continue;
    const { entries } = await engine.state(sessionId(id), { atSeq, limit: 100 });
    const is = JSON.stringify(entries.map(({ key, version, seq, value }) => [key, version, seq, value]));
    const should = JSON.stringify(stateOf(events.slice(0, atSeq)));
    if (is !== should) throw new Error(`${id}: the state at ${atSeq} is ${is}, not ${should}`);
  }
}

type FoldedKey = [key: string, version: number, seq: number, value: string];

function stateOf(events: readonly string[]): FoldedKey[] {
  const keys = new Map<string, { version: number; seq: number; value: string | undefined }>();
  for (const [index, json] of events.entries()) {
    const { state } = decodeEvent(json);
    if (state === undefined) continue;
    const { set = {} } = JSON.parse(state.text) as { set?: Record<string, string> };
    for (const { key, kind } of readStateChange(new RawJson(state.text, "object")).operations) {
      const value = kind === "set" ? JSON.stringify(set[key]) : undefined;
      keys.set(key, { version: (keys.get(key)?.version ?? 0) + 1, seq: index + 1, value });
    }
  }
  return [...keys]
    .flatMap(([key, { version, seq, value }]): FoldedKey[] =>
      value === undefined ? [] : [[key, version, seq, value]],
    )
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

/** The index of messages is a fold of the events, too. */
async function checkMessages(engine: Engine, id: string, events: readonly string[]): Promise<void> {
  const found: number[] = [];
  for await (const { seq } of engine.messages(sessionId(id), { fromSeq: 0, limit: events.length }))
    found.push(seq);
  const expected = events.flatMap((json, index) => {
    const { type, payload } = decodeEvent(json);
    return isMessage(type, payload.text) ? [index + 1] : [];
  });
  if (String(found) !== String(expected))
    throw new Error(`${id}: the messages are ${String(expected)}, found are ${String(found)}`);
}
