import { DaybookError, LIMITS, RawJson } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import { type Append, type Appended, decideAppend, needsOfAppend } from "./decide-append.js";
import type { Decision, Facts } from "./decision.js";
import { applyEntry, type Entry } from "./entry.js";
import { decodeEvent, type NewEvent } from "./event-json.js";
import { type Head, LogId } from "./head.js";
import { type ProducerWindow, rememberPair } from "./producer-window.js";
import { type KeyVersion, nextVersion, readStateChange } from "./state.js";

const NOW = { iso: "2026-01-02T03:04:05.678Z" };

/** A log that keeps everything in plain maps: what the rules are asked about. */
class GivenLog implements Facts {
  head: Head | undefined;
  readonly events = new Map<number, string>();
  private readonly windows = new Map<string, ProducerWindow>();
  private readonly keys = new Map<string, KeyVersion>();
  private readonly idempotencyKeys = new Map<string, number>();

  constructor() {
    const header = { creator: { type: "user", id: "ann" }, title: null, metadata: "{}" };
    this.apply([{ kind: "create", session: new LogId("acme", "ses_1"), header }]);
  }

  producer = (id: string): ProducerWindow | undefined => this.windows.get(id);
  eventJson = (seq: number): string => this.events.get(seq) ?? expect.fail(`no event ${seq}`);
  seqOfKey = (key: string): number | undefined => this.idempotencyKeys.get(key);
  key = (key: string): KeyVersion | undefined => this.keys.get(key);
  header = (): never => expect.fail("an append needs no header");
  headOf = (): never => expect.fail("an append asks about no other log");

  apply(entries: readonly Entry[]): this {
    for (const entry of entries) {
      this.head = applyEntry(this.head, entry, 0);
      if (entry.kind !== "event") continue;
      this.events.set(entry.seq, entry.json);
      const { producer, idempotencyKey } = entry;
      if (idempotencyKey !== undefined) this.idempotencyKeys.set(idempotencyKey, entry.seq);
      if (producer !== null)
        this.windows.set(producer.id, rememberPair(this.windows.get(producer.id), producer.seq, entry.seq));
      for (const operation of entry.state) {
        this.keys.set(operation.key, nextVersion(this.keys.get(operation.key), operation, entry.seq));
      }
    }
    return this;
  }

  decide(command: Append): Decision<Appended> {
    return decideAppend(this.head, this, command, NOW);
  }

  /** Decides and stores. */
  append(...events: NewEvent[]): Appended {
    const decision = this.decide({ events, batch: true });
    if (decision.kind === "reject") throw decision.error;
    if (decision.kind === "commit") this.apply(decision.entries);
    return decision.answer;
  }
}

function event(producer: string, seq: number, more: Partial<NewEvent> = {}): NewEvent {
  return { type: "note", actor: "agent:a", payload: "{}", producer: { id: producer, seq }, ...more };
}

const state = (text: string): Partial<NewEvent> => ({ state: readStateChange(new RawJson(text, "object")) });

const one = (what: NewEvent, expectedSeq?: number): Append => ({
  events: [what],
  batch: false,
  ...(expectedSeq === undefined ? {} : { expectedSeq }),
});

const many = (events: NewEvent[], expectedSeq?: number): Append => ({
  events,
  batch: true,
  ...(expectedSeq === undefined ? {} : { expectedSeq }),
});

function refusal(decision: Decision<unknown>): { code: string } & Record<string, unknown> {
  expect(decision.kind).toBe("reject");
  const { error } = decision as Extract<Decision<never>, { kind: "reject" }>;
  expect(error).toBeInstanceOf(DaybookError);
  return { code: error.code, ...error.details };
}

function committed(decision: Decision<Appended>): { seqs: number[]; answer: Appended } {
  expect(decision.kind).toBe("commit");
  const { entries, answer } = decision as Extract<Decision<Appended>, { kind: "commit" }>;
  return { seqs: entries.map((entry) => (entry.kind === "event" ? entry.seq : -1)), answer };
}

describe("an append to no session", () => {
  it("is refused when there never was one", () => {
    const facts = new GivenLog();
    expect(refusal(decideAppend(undefined, facts, one(event("p", 1)), NOW)).code).toBe("session_not_found");
  });

  it("is refused the same way when it was deleted, also a retry", () => {
    const log = new GivenLog();
    log.append(event("p", 1));
    log.apply([{ kind: "erase", session: new LogId("acme", "ses_1") }]);
    expect(refusal(log.decide(one(event("p", 1)))).code).toBe("session_not_found");
  });
});

describe("seq", () => {
  it("starts at 1 and rises by exactly 1, however appends are grouped", () => {
    const log = new GivenLog();
    expect(log.append(event("p", 1)).results).toEqual([{ seq: 1, deduped: false }]);
    const answer = log.append(event("p", 2), event("q", 7), event("p", 3));
    expect(answer.results.map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(answer.lastSeq).toBe(4);
    expect(log.head?.lastSeq).toBe(4);
  });

  it("is not moved by header changes, which move the position", () => {
    const log = new GivenLog().apply([{ kind: "archive", archived: true }]);
    log.append(event("p", 1));
    expect(log.head).toMatchObject({ lastSeq: 1, position: 3 });
  });

  it("stands in the stored text, with the cursor and the moment of the decision", () => {
    const log = new GivenLog();
    log.append(event("p", 1), event("p", 2));
    expect(JSON.parse(log.eventJson(2))).toMatchObject({ seq: 2, cursor: 2, inserted_at: NOW.iso });
  });
});

describe("expected_seq", () => {
  it("lets an append through that knows the last seq, 0 for an empty session", () => {
    const log = new GivenLog();
    expect(committed(log.decide(one(event("p", 1), 0))).seqs).toEqual([1]);
    log.append(event("p", 1));
    expect(committed(log.decide(one(event("p", 2), 1))).seqs).toEqual([2]);
  });

  it.each([0, 2, 5])("refuses %i where the last seq is 1, and says what it is", (expectedSeq) => {
    const log = new GivenLog();
    log.append(event("p", 1));
    const refused = refusal(log.decide(one(event("p", 2), expectedSeq)));
    expect(refused).toEqual({ code: "expected_seq_conflict", current_seq: 1 });
  });

  it("is compared once for a batch, with the seq before its first event", () => {
    const log = new GivenLog();
    log.append(event("p", 1));
    expect(committed(log.decide(many([event("p", 2), event("p", 3)], 1))).seqs).toEqual([2, 3]);
  });

  it("is not compared when nothing in a batch is new", () => {
    const log = new GivenLog();
    log.append(event("p", 1), event("p", 2));
    const decision = log.decide(many([event("p", 1), event("p", 2)], 0));
    expect(decision).toEqual({
      kind: "answer",
      answer: {
        results: [
          { seq: 1, deduped: true },
          { seq: 2, deduped: true },
        ],
        lastSeq: 2,
      },
    });
  });

  it("is compared when one event of a batch is new, and the refusal names that one", () => {
    const log = new GivenLog();
    log.append(event("p", 1));
    const refused = refusal(log.decide(many([event("p", 1), event("p", 2)], 0)));
    expect(refused).toEqual({ code: "expected_seq_conflict", current_seq: 1, index: 1 });
  });
});

describe("a producer", () => {
  it.each([1, 2, 77, Number.MAX_SAFE_INTEGER])("may begin with %i", (first) => {
    expect(committed(new GivenLog().decide(one(event("p", first)))).seqs).toEqual([1]);
  });

  it.each([6, 8, 100])("is refused %i after 5 ... 6 is next", (next) => {
    const log = new GivenLog();
    log.append(event("p", 5));
    const decision = log.decide(one(event("p", next)));
    if (next === 6) expect(committed(decision).seqs).toEqual([2]);
    else expect(refusal(decision)).toEqual({ code: "producer_seq_conflict", expected_producer_seq: 6 });
  });

  it("is refused a number below its first", () => {
    const log = new GivenLog();
    log.append(event("p", 5));
    expect(refusal(log.decide(one(event("p", 4)))).code).toBe("producer_seq_conflict");
  });

  it("does not disturb another one", () => {
    const log = new GivenLog();
    log.append(event("p", 5), event("q", 1), event("p", 6), event("q", 2));
    expect(log.head?.lastSeq).toBe(4);
  });

  it("is bound to its order along a batch, and the refusal says where it broke", () => {
    const log = new GivenLog();
    const refused = refusal(log.decide(many([event("p", 1), event("q", 1), event("p", 3)])));
    expect(refused).toEqual({ code: "producer_seq_conflict", expected_producer_seq: 2, index: 2 });
  });

  it("gets no index in the refusal of a single event", () => {
    const log = new GivenLog();
    log.append(event("p", 1));
    expect(refusal(log.decide(one(event("p", 3))))).not.toHaveProperty("index");
  });

  it("may be left out: such events are numbered by the server and never duplicates", () => {
    const log = new GivenLog();
    const own = event("p", 1, { producer: null });
    expect(log.append(own, own).results.map(({ deduped }) => deduped)).toEqual([false, false]);
    expect(decodeEvent(log.eventJson(2))).toMatchObject({ producer_id: "daybook", producer_seq: 2 });
    expect(log.producer("daybook")).toBeUndefined();
  });
});

describe("a pair that was seen before", () => {
  it("answers its first seq, whatever expected_seq says now", () => {
    const log = new GivenLog();
    log.append(event("p", 1), event("p", 2), event("q", 1));
    const decision = log.decide(one(event("p", 2), 0));
    expect(decision).toEqual({
      kind: "answer",
      answer: { results: [{ seq: 2, deduped: true }], lastSeq: 3 },
    });
  });

  it("is recognised when its JSON says the same in other words", () => {
    const log = new GivenLog();
    log.append(event("p", 1, { payload: '{"a":1.0,"b":"é"}' }));
    const again = event("p", 1, { payload: '{ "b": "\\u00e9", "a": 10e-1 }' });
    expect(log.decide(one(again)).kind).toBe("answer");
  });

  it.each<[string, Partial<NewEvent>]>([
    ["type", { type: "other" }],
    ["payload", { payload: '{"x":1}' }],
    ["actor", { actor: "agent:b" }],
    ["source", { source: "web" }],
    ["metadata", { metadata: '{"x":1}' }],
    ["refs", { refs: '{"step":1}' }],
    ["idempotency_key", { idempotencyKey: "k" }],
    ["state", state('{"set":{"x":1}}')],
  ])("is refused when its %s is another", (_member, other) => {
    const log = new GivenLog();
    log.append(event("p", 1));
    expect(refusal(log.decide(one(event("p", 1, other)))).code).toBe("producer_replay_conflict");
  });

  it("answers after the session was closed: the first try did take effect", () => {
    const log = new GivenLog();
    log.append(event("p", 1));
    log.apply([{ kind: "close" }]);
    expect(log.decide(one(event("p", 1))).kind).toBe("answer");
  });

  it("is answered beside new ones, which go in contiguously", () => {
    const log = new GivenLog();
    log.append(event("p", 1), event("p", 2));
    const { seqs, answer } = committed(
      log.decide(many([event("p", 1), event("p", 2), event("p", 3), event("q", 1)])),
    );
    expect(seqs).toEqual([3, 4]);
    expect(answer).toEqual({
      results: [
        { seq: 1, deduped: true },
        { seq: 2, deduped: true },
        { seq: 3, deduped: false },
        { seq: 4, deduped: false },
      ],
      lastSeq: 4,
    });
  });

  it("is a duplicate inside one batch too", () => {
    const { seqs, answer } = committed(
      new GivenLog().decide(many([event("p", 4), event("p", 5), event("p", 4), event("p", 5)])),
    );
    expect(seqs).toEqual([1, 2]);
    expect(answer.results.map(({ seq, deduped }) => [seq, deduped])).toEqual([
      [1, false],
      [2, false],
      [1, true],
      [2, true],
    ]);
  });

  it("is a conflict inside one batch when the content is another", () => {
    const refused = refusal(
      new GivenLog().decide(many([event("p", 1), event("p", 1, { payload: '{"x":1}' })])),
    );
    expect(refused).toEqual({ code: "producer_replay_conflict", index: 1 });
  });

  it("is refused, never appended, once it is older than what is remembered", () => {
    const log = new GivenLog();
    for (let seq = 1; seq <= LIMITS.producerPairsMax + 1; seq++) log.append(event("p", seq));
    expect(refusal(log.decide(one(event("p", 1)))).code).toBe("producer_seq_conflict");
    expect(log.decide(one(event("p", 2))).kind).toBe("answer");
  });

  it("is named among the facts the command needs, as are the state keys", () => {
    const events = [
      event("p", 1),
      event("q", 2, {
        producer: null,
        idempotencyKey: "k",
        ...state('{"set":{"a":1},"delete":["b"],"if":{"c":1}}'),
      }),
    ];
    expect(needsOfAppend(many(events))).toEqual({
      pairs: [{ producerId: "p", producerSeq: 1 }],
      keys: ["a", "b", "c"],
      idempotencyKeys: ["k"],
    });
  });
});

describe("a closed session", () => {
  it("refuses what is new, before anything else is compared", () => {
    const log = new GivenLog();
    log.append(event("p", 1));
    log.apply([{ kind: "close" }]);
    expect(refusal(log.decide(one(event("p", 9), 77))).code).toBe("session_closed");
  });

  it("refuses a whole batch for one new event in it", () => {
    const log = new GivenLog();
    log.append(event("p", 1));
    log.apply([{ kind: "close" }]);
    expect(refusal(log.decide(many([event("p", 1), event("p", 2)])))).toEqual({
      code: "session_closed",
      index: 1,
    });
  });
});

describe("state.if", () => {
  it("0 means: must not exist", () => {
    const log = new GivenLog();
    const first = event("p", 1, state('{"set":{"k":1},"if":{"k":0}}'));
    log.append(first);
    const refused = refusal(log.decide(one(event("q", 1, state('{"set":{"k":2},"if":{"k":0}}')))));
    expect(refused).toEqual({ code: "state_conflict", key: "k", current_version: 1, current_seq: 1 });
  });

  it("0 holds again once the key was deleted, and so does the tombstone's own version", () => {
    const log = new GivenLog();
    log.append(event("p", 1, state('{"set":{"k":1}}')), event("p", 2, state('{"delete":["k"]}')));
    expect(log.key("k")).toEqual({ version: 2, seq: 2, deleted: true });
    expect(log.decide(one(event("p", 3, state('{"set":{"k":2},"if":{"k":0}}')))).kind).toBe("commit");
    expect(log.decide(one(event("p", 3, state('{"set":{"k":2},"if":{"k":2}}')))).kind).toBe("commit");
    expect(log.decide(one(event("p", 3, state('{"set":{"k":2},"if":{"k":1}}')))).kind).toBe("reject");
  });

  it("sees what the events before it in the batch did", () => {
    const log = new GivenLog();
    const events = [
      event("p", 1, state('{"set":{"k":1},"if":{"k":0}}')),
      event("p", 2, state('{"set":{"k":2},"if":{"k":1}}')),
      event("p", 3, state('{"set":{"k":3},"if":{"k":1}}')),
    ];
    expect(refusal(log.decide(many(events)))).toMatchObject({ code: "state_conflict", index: 2 });
    expect(log.decide(many(events.slice(0, 2))).kind).toBe("commit");
  });

  it("is not asked of a duplicate", () => {
    const log = new GivenLog();
    const first = event("p", 1, state('{"set":{"k":1},"if":{"k":0}}'));
    log.append(first);
    expect(log.decide(one(first)).kind).toBe("answer");
  });

  it("may compare keys that the event does not change", () => {
    const log = new GivenLog();
    expect(refusal(log.decide(one(event("p", 1, state('{"if":{"gone":3}}')))))).toEqual({
      code: "state_conflict",
      key: "gone",
      current_version: 0,
      current_seq: 0,
    });
  });
});

it("refuses all of a batch when it refuses one: nothing of it is in the decision", () => {
  const decision = new GivenLog().decide(many([event("p", 1), event("p", 2), event("q", 1), event("q", 9)]));
  expect(decision.kind).toBe("reject");
  expect(decision).not.toHaveProperty("entries");
});

describe("a message with an idempotency key", () => {
  const keyed = (key: string, more: Partial<NewEvent> = {}): NewEvent => ({
    type: "message",
    actor: "user:ann",
    payload: '{"role":"user","parts":[{"type":"text","text":"hi"}]}',
    producer: null,
    idempotencyKey: key,
    ...more,
  });

  it("is appended once, and a retry answers its seq whatever has happened since", () => {
    const log = new GivenLog();
    expect(log.append(keyed("a")).results).toEqual([{ seq: 1, deduped: false }]);
    expect(log.append(event("p", 1), keyed("b")).lastSeq).toBe(3);
    expect(log.append(keyed("a")).results).toEqual([{ seq: 1, deduped: true }]);
    log.apply([{ kind: "close" }]);
    expect(log.decide({ events: [keyed("a")], batch: false, expectedSeq: 0 })).toMatchObject({
      kind: "answer",
      answer: { results: [{ seq: 1, deduped: true }], lastSeq: 3 },
    });
  });

  it("is refused with other content", () => {
    const log = new GivenLog();
    log.append(keyed("a"));
    const others: Partial<NewEvent>[] = [
      { payload: '{"role":"user","parts":[{"type":"text","text":"ho"}]}' },
      { actor: "user:bob" },
    ];
    for (const more of others)
      expect(refusal(log.decide(one(keyed("a", more)))).code).toBe("idempotency_key_reused");
  });

  it("is found in the very list it stands in", () => {
    const log = new GivenLog();
    expect(log.append(keyed("a"), keyed("b"), keyed("a")).results).toEqual([
      { seq: 1, deduped: false },
      { seq: 2, deduped: false },
      { seq: 1, deduped: true },
    ]);
  });

  it("counts only for messages that the server numbers: elsewhere the key is kept and no more", () => {
    const log = new GivenLog();
    log.append(keyed("a", { producer: { id: "p", seq: 1 } }), keyed("a", { type: "note" }));
    expect(log.append(keyed("a"), keyed("a", { type: "note" })).results).toEqual([
      { seq: 3, deduped: false },
      { seq: 4, deduped: false },
    ]);
  });
});
