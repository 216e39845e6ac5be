import { describe, expect, it } from "vitest";
import { applyEntry, type Entry, type HeaderEntry } from "./entry.js";
import { type Head, LogId } from "./head.js";
import { decodeHeaderEntry, encodeHeaderEntry } from "./header-json.js";

const SESSION = new LogId("acme", 'id "with" \\ and é');
const HEADER = { creator: { type: "user", id: "a:b" }, title: 'a "title"\n', metadata: '{ "n": 1.0 }' };
const CREATE: HeaderEntry = { kind: "create", session: SESSION, header: HEADER };

const event = (seq: number): Entry => ({
  kind: "event",
  seq,
  json: "{}",
  producer: null,
  state: [],
  isMessage: false,
  idempotencyKey: undefined,
});
const after = (...entries: Entry[]): Head | undefined =>
  entries.reduce<Head | undefined>((head, entry) => applyEntry(head, entry, 5), undefined);

describe("applying an entry that no rule would have let through is a defect", () => {
  it.each<[string, Entry[]]>([
    ["an event before the create", [event(1)]],
    ["an event that skips a seq", [CREATE, event(1), event(3)]],
    ["an event that repeats a seq", [CREATE, event(1), event(1)]],
    ["an event after the close", [CREATE, { kind: "close" }, event(1)]],
    ["an event after the erase", [CREATE, { kind: "erase", session: SESSION }, event(1)]],
    ["a second create", [CREATE, CREATE]],
    ["a patch before the create", [{ kind: "patch", header: HEADER }]],
    [
      "a patch after the erase",
      [CREATE, { kind: "erase", session: SESSION }, { kind: "patch", header: HEADER }],
    ],
  ])("%s", (_what, entries) => {
    expect(() => after(...entries)).toThrow("broken invariant");
  });

  it("an event may follow once the log is open again", () => {
    expect(after(CREATE, { kind: "close" }, { kind: "reopen" }, event(1))).toMatchObject({
      status: "open",
      lastSeq: 1,
    });
  });

  it("updated_at never goes back, whatever moment an entry carries", () => {
    const head = applyEntry(applyEntry(undefined, CREATE, 100), { kind: "patch", header: HEADER }, 50);
    expect(head.updatedAtMs).toBe(100);
  });

  it("an event leaves updated_at alone", () => {
    expect(applyEntry(applyEntry(undefined, CREATE, 100), event(1), 500).updatedAtMs).toBe(100);
  });
});

describe("a header entry read back from its text", () => {
  const entries: HeaderEntry[] = [
    CREATE,
    { ...CREATE, header: { ...HEADER, title: null } },
    { ...CREATE, imported: { createdAtMs: 1, updatedAtMs: 2, version: 3, archived: true } },
    { kind: "patch", header: HEADER },
    { kind: "archive", archived: true },
    { kind: "archive", archived: false },
    { kind: "close" },
    { kind: "reopen" },
    { ...CREATE, forkedFrom: { id: 'parent "é"', seq: 7, depth: 2 } },
    { kind: "fork", fork: 'a "fork"', seq: 0 },
    { kind: "unfork", fork: 'a "fork"' },
    { kind: "erase", session: SESSION },
  ];

  it.each(entries.map((entry) => [entry.kind, entry] as const))("is the same: %s", (_kind, entry) => {
    const text = encodeHeaderEntry(entry);
    expect(decodeHeaderEntry(entry.kind, text)).toEqual(entry);
    expect(text).not.toContain("\x1e");
  });
});
