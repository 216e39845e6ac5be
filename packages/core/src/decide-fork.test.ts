import { LIMITS } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import { decideFork, type Fork, needsOfFork } from "./decide-fork.js";
import { decideErase, needsOfErase } from "./decide-header.js";
import type { Decision, Facts } from "./decision.js";
import { applyEntry, type Entry } from "./entry.js";
import { type ForkedFrom, type Head, LogId, type SessionHeader } from "./head.js";

const PARENT = new LogId("acme", "parent");
const FORK = new LogId("acme", "fork");
const HEADER: SessionHeader = { creator: { type: "user", id: "ann" }, title: null, metadata: "{}" };
const COMMAND: Fork = { parent: PARENT, create: { session: FORK, header: HEADER } };

const event = (seq: number): Entry => ({
  kind: "event",
  seq,
  json: "{}",
  producer: null,
  state: [],
  isMessage: false,
  idempotencyKey: undefined,
});

const head = (entries: readonly Entry[], forkedFrom?: ForkedFrom): Head | undefined =>
  [
    { kind: "create", session: PARENT, header: HEADER, ...(forkedFrom && { forkedFrom }) } as const,
    ...entries,
  ].reduce<Head | undefined>((before, entry) => applyEntry(before, entry, 1_000), undefined);

/** Another log has this head; none has any. */
const facts = (other?: Head): Facts => ({
  producer: () => expect.fail("no producer is needed"),
  eventJson: () => expect.fail("no event is needed"),
  key: () => expect.fail("no key is needed"),
  seqOfKey: () => expect.fail("no idempotency key is needed"),
  header: () => expect.fail("no header is needed"),
  headOf: (id) => (id.key === FORK.key ? other : expect.fail("only the fork's head was named")),
});

const forkOf = (parent: Head | undefined, more: Partial<Fork> = {}, other?: Head): Decision<void> =>
  decideFork(parent, facts(other), { ...COMMAND, ...more });

function refusal(decision: Decision<unknown>): Record<string, unknown> {
  if (decision.kind !== "reject") return expect.fail(`it is ${decision.kind}`);
  return { code: decision.error.code, ...decision.error.details };
}

describe("a fork", () => {
  it("is an entry of its parent first, then the create of a log that begins behind what it shares", () => {
    const forkedFrom = { id: "parent", seq: 2, depth: 1 };
    expect(needsOfFork(COMMAND)).toEqual({ others: [FORK] });
    expect(forkOf(head([event(1), event(2), event(3)]), { atSeq: 2 })).toEqual({
      kind: "commit",
      entries: [{ kind: "fork", fork: "fork", seq: 2 }],
      others: [{ id: FORK, entries: [{ kind: "create", session: FORK, header: HEADER, forkedFrom }] }],
      answer: undefined,
    });
    const forked = applyEntry(undefined, { kind: "create", session: FORK, header: HEADER, forkedFrom }, 5);
    expect(forked).toMatchObject({ lastSeq: 2, version: 1, status: "open", forks: 0, forkedFrom });
    expect(applyEntry(forked, event(3), 6)).toMatchObject({ lastSeq: 3, forkedFrom });
    expect(() => applyEntry(forked, event(1), 6)).toThrow("broken invariant");
  });

  it.each([
    ["at the end unless a seq is named", undefined, 2],
    ["at 0", 0, 0],
    ["at the last seq", 2, 2],
  ])("is made %s", (_what, atSeq, seq) => {
    const decision = forkOf(head([event(1), event(2)]), atSeq === undefined ? {} : { atSeq });
    expect(decision).toMatchObject({ entries: [{ kind: "fork", seq }] });
  });

  it("is made of closed and archived sessions too, and of forks", () => {
    const of = (parent: Head | undefined): unknown => forkOf(parent);
    expect(of(head([event(1), { kind: "close" }]))).toMatchObject({ kind: "commit" });
    expect(of(head([{ kind: "archive", archived: true }]))).toMatchObject({ kind: "commit" });
    expect(of(head([], { id: "root", seq: 7, depth: 3 }))).toMatchObject({
      others: [{ entries: [{ forkedFrom: { id: "parent", seq: 7, depth: 4 } }] }],
    });
  });

  it("is refused behind the end, of nothing, too deep, and where there is a session", () => {
    const parent = head([event(1)]);
    expect(refusal(forkOf(parent, { atSeq: 2 }))).toEqual({ code: "invalid_cursor", last_seq: 1 });
    expect(refusal(forkOf(undefined)).code).toBe("session_not_found");
    const deleted = head([{ kind: "erase", session: PARENT }]);
    expect(refusal(forkOf(deleted)).code).toBe("session_not_found");
    const depth = LIMITS.forkDepthMax;
    expect(forkOf(head([], { id: "r", seq: 1, depth: depth - 1 })).kind).toBe("commit");
    expect(refusal(forkOf(head([], { id: "r", seq: 1, depth }))).code).toBe("fork_too_deep");
    expect(refusal(forkOf(parent, {}, head([]))).code).toBe("session_exists");
    expect(refusal(forkOf(parent, {}, deleted)).code).toBe("session_deleted");
  });
});

describe("the log of a parent", () => {
  const made: Entry = { kind: "fork", fork: "fork", seq: 1 };
  const gone: Entry = { kind: "unfork", fork: "fork" };

  it("counts its forks, and its record does not change with them", () => {
    const before = head([event(1)]);
    const after = [made, made, gone].reduce((known, entry) => applyEntry(known, entry, 9_000), before);
    expect(after).toEqual({ ...before, position: 5, forks: 1 });
  });

  it("takes no entry that no rule would have let through", () => {
    expect(() => head([made])).toThrow("broken invariant");
    expect(() => head([gone])).toThrow("broken invariant");
  });
});

describe("erase", () => {
  it("is refused while there are forks, and says how many", () => {
    const parent = head([event(1), { kind: "fork", fork: "a", seq: 0 }, { kind: "fork", fork: "b", seq: 1 }]);
    expect(refusal(decideErase(parent, PARENT))).toEqual({ code: "session_has_forks", forks: 2 });
  });

  it("of a fork tells its parent", () => {
    const fork = applyEntry(
      undefined,
      { kind: "create", session: FORK, header: HEADER, forkedFrom: { id: "parent", seq: 1, depth: 1 } },
      5,
    );
    expect(needsOfErase(FORK, fork)).toEqual({ others: [PARENT] });
    expect(needsOfErase(PARENT, head([]))).toEqual({});
    expect(decideErase(fork, FORK)).toMatchObject({
      entries: [{ kind: "erase", session: FORK }],
      others: [{ id: PARENT, entries: [{ kind: "unfork", fork: "fork" }] }],
    });
  });
});
