import { LogId } from "@daybook/core";
import { LIMITS } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import {
  decodeHeadRecord,
  decodeKeyVersion,
  decodeWindow,
  encodeHeadRecord,
  encodeKeyVersion,
  encodeWindow,
  type HeadRecord,
  memberDigest,
  metadataKey,
} from "./records.js";

const RECORD: HeadRecord = {
  id: new LogId("acme", "s"),
  head: {
    position: 9,
    lastSeq: 7,
    version: 2,
    status: "open",
    archived: false,
    createdAtMs: 1_700_000_000_000,
    updatedAtMs: 1_700_000_000_001,
    forks: 0,
    forkedFrom: undefined,
  },
  pairs: 7,
  headerAt: { segment: 1, offset: 96, bytes: 120, count: 0 },
  openRun: { nextSeq: 3, ordinal: 32, positions: [1, 96, 120, 0, 1, 300, 90, 2] },
  lastEventMs: 1_700_000_000_002,
  messages: { ordinal: 40, runs: [7, 1, 1] },
  idempotencyKeys: 3,
};

describe("a record read back", () => {
  it.each<HeadRecord>([
    RECORD,
    { ...RECORD, headerAt: undefined },
    { ...RECORD, messages: undefined },
    { ...RECORD, head: { ...RECORD.head, status: "closed", archived: true } },
    { ...RECORD, head: { ...RECORD.head, status: "deleted" } },
    { ...RECORD, head: { ...RECORD.head, forks: 3, forkedFrom: { id: "parent", seq: 5, depth: 2 } } },
  ])("is the same head: $head.status", (record) => {
    // As it comes out of the database: plain arrays.
    const stored = JSON.parse(JSON.stringify(encodeHeadRecord(record))) as never;
    expect(decodeHeadRecord(stored, (tenant, id) => new LogId(tenant, id))).toEqual(record);
  });

  it("is the same window and key version", () => {
    const window = { last: 9, lastSeq: 20, count: 3, runs: [10, 5, 3] };
    expect(decodeWindow(encodeWindow(window))).toEqual(window);
    for (const deleted of [true, false]) {
      expect(decodeKeyVersion(encodeKeyVersion({ version: 2, seq: 5, deleted }))).toEqual({
        version: 2,
        seq: 5,
        deleted,
      });
    }
  });
});

describe("a metadata key", () => {
  it("is short however long the texts are, and no two members share one", () => {
    const long = "\u0001".repeat(LIMITS.indexedMetadataBytesMax);
    const digests = [
      ["a", "b"],
      ["ab", ""],
      ["", "ab"],
      ["a", 'b","'],
      [long, long],
    ].map(([name = "", value = ""]) => memberDigest([name, value]));
    expect(new Set(digests).size).toBe(digests.length);
    for (const digest of digests) {
      expect(JSON.stringify(metadataKey("t", digest, { archived: true, id: "s" })).length).toBeLessThan(60);
    }
  });
});
