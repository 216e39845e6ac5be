import { LIMITS } from "@daybook/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decideArchive,
  decideClose,
  decideCreate,
  decideErase,
  decidePatch,
  decidePut,
  mergeMembers,
  type Patch,
} from "./decide-header.js";
import type { Decision, Facts } from "./decision.js";
import { applyEntry, type Entry } from "./entry.js";
import { type Head, LogId, type SessionHeader } from "./head.js";

const SESSION = new LogId("acme", "ses_1");
const CREATOR = { type: "user", id: "ann" };
const HEADER: SessionHeader = { creator: CREATOR, title: "First", metadata: '{"a":1}' };

const given = (...entries: Entry[]): Head | undefined =>
  entries.reduce<Head | undefined>((head, entry) => applyEntry(head, entry, 1_000), undefined);

const create: Entry = { kind: "create", session: SESSION, header: HEADER };
const OPEN = given(create);
const CLOSED = given(create, { kind: "close" });
const ARCHIVED = given(create, { kind: "archive", archived: true });
const DELETED = given(create, { kind: "erase", session: SESSION });

const factsWith = (header: SessionHeader): Facts => ({
  producer: () => undefined,
  eventJson: () => expect.fail("no event is needed"),
  seqOfKey: () => undefined,
  key: () => undefined,
  header: () => header,
  headOf: () => expect.fail("no other log is asked about"),
});

const patch = (command: Patch, header = HEADER): Decision<void> =>
  decidePatch(OPEN, factsWith(header), command);

function refusal(decision: Decision<unknown>): Record<string, unknown> {
  if (decision.kind !== "reject") return expect.fail(`it is ${decision.kind}`);
  return { code: decision.error.code, ...decision.error.details };
}

function entriesOf(decision: Decision<unknown>): readonly Entry[] {
  return decision.kind === "commit" ? decision.entries : expect.fail(`it is ${decision.kind}`);
}

describe("create", () => {
  it("begins a log with its header", () => {
    const decision = decideCreate(undefined, { session: SESSION, header: HEADER });
    expect(entriesOf(decision)).toEqual([create]);
    expect(OPEN).toEqual({
      position: 1,
      lastSeq: 0,
      version: 1,
      status: "open",
      archived: false,
      createdAtMs: 1_000,
      updatedAtMs: 1_000,
      forks: 0,
      forkedFrom: undefined,
    });
  });

  it.each([
    ["open", OPEN],
    ["closed", CLOSED],
    ["archived", ARCHIVED],
  ])("is refused where there is a session: %s", (_status, head) => {
    expect(refusal(decideCreate(head, { session: SESSION, header: HEADER }))).toEqual({
      code: "session_exists",
    });
  });

  it("is refused for an id that was deleted, for ever", () => {
    expect(refusal(decideCreate(DELETED, { session: SESSION, header: HEADER }))).toEqual({
      code: "session_deleted",
    });
  });

  it("takes over times and version of an import", () => {
    const imported = { createdAtMs: 5, updatedAtMs: 7, version: 3, archived: true };
    const decision = decideCreate(undefined, { session: SESSION, header: HEADER, imported });
    expect(given(...entriesOf(decision))).toMatchObject(imported);
  });
});

describe("patch", () => {
  const patched = (command: Patch, header = HEADER): SessionHeader => {
    const [entry] = entriesOf(patch(command, header));
    return entry?.kind === "patch" ? entry.header : expect.fail("no patch");
  };

  it("changes what it names and leaves the rest, the creator too", () => {
    expect(patched({ title: "Second" })).toEqual({ ...HEADER, title: "Second" });
    expect(patched({ metadata: '{"b":2}' })).toEqual({ ...HEADER, metadata: '{"a":1,"b":2}' });
  });

  it("clears the title with null", () => {
    expect(patched({ title: null }).title).toBeNull();
  });

  it("raises the version by one and leaves last_seq", () => {
    const head = given(create, { kind: "patch", header: HEADER }, { kind: "patch", header: HEADER });
    expect(head).toMatchObject({ version: 3, lastSeq: 0, position: 3 });
  });

  it("is refused at another version, and says which it is", () => {
    expect(refusal(patch({ title: "x", expectedVersion: 2 }))).toEqual({
      code: "expected_version_conflict",
      current_version: 1,
    });
    expect(patch({ title: "x", expectedVersion: 1 }).kind).toBe("commit");
  });

  it("is refused when the merged metadata would be too large, and taken at the limit exactly", () => {
    const room = LIMITS.metadataBytesMax - '{"a":1,"b":""}'.length;
    expect(patch({ metadata: `{"b":"${"x".repeat(room)}"}` }).kind).toBe("commit");
    expect(refusal(patch({ metadata: `{"b":"${"x".repeat(room + 1)}"}` })).code).toBe("invalid_metadata");
    const wide = "é".repeat(Math.floor(room / 2));
    expect(patch({ metadata: `{"b":"${wide}"}` }).kind).toBe("commit");
    expect(refusal(patch({ metadata: `{"b":"${wide}é"}` })).code).toBe("invalid_metadata");
  });

  it.each([undefined, DELETED])("finds no session that is not there", (head) => {
    expect(refusal(decidePatch(head, factsWith(HEADER), { title: "x" })).code).toBe("session_not_found");
  });

  it("works on closed and archived sessions: they are only events that end", () => {
    for (const head of [CLOSED, ARCHIVED]) {
      expect(decidePatch(head, factsWith(HEADER), { title: "x" }).kind).toBe("commit");
    }
  });
});

describe("merging metadata", () => {
  it("keeps every value's exact text: spacing, big numbers, escapes, order", () => {
    expect(
      mergeMembers(
        '{"z":1.0,"big":9007199254740993,"in":{ "b" : 1,"a":2 }}',
        '{"new":1e2,"z":"\\u00e9","__proto__":{"x":1}}',
      ),
    ).toBe('{"z":"\\u00e9","big":9007199254740993,"in":{ "b" : 1,"a":2 },"new":1e2,"__proto__":{"x":1}}');
  });

  it("merges the top level only, and null is a value like others", () => {
    expect(mergeMembers('{"a":{"x":1},"b":2}', '{"a":{"y":2},"b":null}')).toBe('{"a":{"y":2},"b":null}');
  });

  it("takes members with the same name in other spelling for the same", () => {
    expect(mergeMembers('{"caf\\u00e9":1}', '{"café":2}')).toBe('{"café":2}');
  });

  it("says the same as spreading one object over the other", () => {
    const objects = fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true });
    fc.assert(
      fc.property(objects, objects, (before, changes) => {
        const merged = mergeMembers(JSON.stringify(before), JSON.stringify(changes));
        expect(JSON.parse(merged)).toEqual(
          JSON.parse(
            JSON.stringify(Object.fromEntries([...Object.entries(before), ...Object.entries(changes)])),
          ),
        );
      }),
    );
  });
});

describe("archive", () => {
  it("is a flag that leaves version and last_seq alone", () => {
    expect(entriesOf(decideArchive(OPEN, true))).toEqual([{ kind: "archive", archived: true }]);
    expect(ARCHIVED).toMatchObject({ archived: true, version: 1, lastSeq: 0, status: "open" });
    expect(given(create, { kind: "archive", archived: true }, { kind: "archive", archived: false })).toEqual({
      ...OPEN,
      position: 3,
    });
  });

  it("writes nothing the second time", () => {
    expect(decideArchive(ARCHIVED, true)).toEqual({ kind: "answer", answer: undefined });
    expect(decideArchive(OPEN, false)).toEqual({ kind: "answer", answer: undefined });
  });

  it.each([undefined, DELETED])("finds no session that is not there", (head) => {
    expect(refusal(decideArchive(head, true)).code).toBe("session_not_found");
  });
});

describe("put", () => {
  const metadata = '{"b":2}';
  const put = (head: Head | undefined, before = HEADER, after = metadata): Decision<void> =>
    decidePut(head, factsWith(before), { session: SESSION, creator: CREATOR, metadata: after });

  it("creates a log that is not there, without a title", () => {
    const header = { creator: CREATOR, title: null, metadata };
    expect(entriesOf(put(undefined))).toEqual([{ kind: "create", session: SESSION, header }]);
  });

  it("replaces all metadata and leaves the rest of the header, whoever asks", () => {
    const theirs = { ...HEADER, creator: { type: "agent", id: "other" } };
    const entries = [{ kind: "patch", header: { ...theirs, metadata } }];
    expect(entriesOf(put(OPEN, theirs))).toEqual(entries);
  });

  it("opens a closed log again, with or without other metadata", () => {
    expect(entriesOf(put(CLOSED))).toEqual([
      { kind: "reopen" },
      { kind: "patch", header: { ...HEADER, metadata } },
    ]);
    expect(entriesOf(put(CLOSED, HEADER, HEADER.metadata))).toEqual([{ kind: "reopen" }]);
  });

  it("writes nothing when nothing changes", () => {
    expect(put(OPEN, HEADER, HEADER.metadata)).toEqual({ kind: "answer", answer: undefined });
  });

  it("does not bring back a deleted one", () => {
    expect(refusal(put(DELETED)).code).toBe("session_deleted");
  });
});

describe("close", () => {
  it("ends a session's events and writes nothing the second time", () => {
    expect(entriesOf(decideClose(OPEN))).toEqual([{ kind: "close" }]);
    expect(CLOSED?.status).toBe("closed");
    expect(decideClose(CLOSED)).toEqual({ kind: "answer", answer: undefined });
  });

  it.each([undefined, DELETED])("finds no session that is not there", (head) => {
    expect(refusal(decideClose(head)).code).toBe("session_not_found");
  });
});

describe("erase", () => {
  it.each([OPEN, CLOSED, ARCHIVED])("deletes whatever there is", (head) => {
    expect(entriesOf(decideErase(head, SESSION))).toEqual([{ kind: "erase", session: SESSION }]);
  });

  it.each([undefined, DELETED])("finds no session that is not there, or no more", (head) => {
    expect(refusal(decideErase(head, SESSION)).code).toBe("session_not_found");
  });
});
