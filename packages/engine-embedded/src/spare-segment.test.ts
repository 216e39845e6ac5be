import { appendOne, create, note, readAll } from "@daybook/engine/contract/commands";
import { FaultyStore } from "@daybook/test-kit";
import { describe, expect, it, vi } from "vitest";
import type { EmbeddedEngine } from "./engine.js";
import { segmentName } from "./frame-format.js";
import { SpareSegment } from "./spare-segment.js";

const SETTINGS = { segmentBytes: 4_000 };

async function appendUntil(engine: EmbeddedEngine, from: number, isDone: () => boolean): Promise<number> {
  let seq = from;
  for (; !isDone(); seq++) expect(await appendOne(engine, "s", note("p", seq))).toBe(seq);
  return seq;
}

describe("the file of the next segment", () => {
  it("is made of zeros ahead of time, and taken over whole when its turn comes", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open(SETTINGS);
    await create(engine, "s");
    const next = await appendUntil(engine, 1, () => store.files.names.includes("spare"));
    const zeros = Buffer.alloc(SETTINGS.segmentBytes);
    await vi.waitFor(() => expect(store.files.bytes("spare").equals(zeros)).toBe(true));
    const end = await appendUntil(engine, next, () => store.files.names.includes(segmentName(2)));
    expect(store.files.bytes(segmentName(2))).toHaveLength(SETTINGS.segmentBytes);
    expect(await readAll(engine, "s")).toHaveLength(end - 1);
  });

  it("grows with the log that it is made for", async () => {
    await using store = await FaultyStore.make();
    const spare = new SpareSegment(store.files);
    const bytes = 1024 * 1024;
    spare.prepare(bytes, 1);
    await vi.waitFor(() => expect(store.files.bytes("spare").length).toBeGreaterThan(0));
    expect(await spare.take(segmentName(2), Buffer.alloc(1))).toBeUndefined();
    const first = store.files.bytes("spare").length;
    expect(first).toBeLessThan(bytes / 4);
    spare.prepare(bytes, bytes);
    await vi.waitFor(async () => expect(await spare.take(segmentName(2), Buffer.alloc(1))).toBeDefined());
    expect(store.files.bytes(segmentName(2)).equals(Buffer.alloc(bytes))).toBe(true);
    await spare.close();
  });

  it("goes on being filled after a restart, and is gone after a clean stop when it was not used", async () => {
    await using store = await FaultyStore.make();
    let engine = await store.open(SETTINGS);
    await create(engine, "s");
    let next = await appendUntil(engine, 1, () => store.files.names.includes(segmentName(2)));
    for (let restart = 0; restart < 3; restart++) {
      await store.end();
      expect(store.files.names).not.toContain("spare");
      store.logged.length = 0;
      engine = await store.open(SETTINGS);
      expect(store.logged.join()).not.toContain("cut off");
      expect(await appendOne(engine, "s", note("p", next++))).toBe(next - 1);
      expect(await readAll(engine, "s")).toHaveLength(next - 1);
    }
  });

  it("is done without when it cannot be made", async () => {
    await using store = await FaultyStore.make();
    const engine = await store.open(SETTINGS);
    await create(engine, "s");
    store.files.fault = ({ name }) => (name === "spare" ? new Error("no room") : undefined);
    const end = await appendUntil(engine, 1, () => store.files.names.includes(segmentName(3)));
    expect(await readAll(engine, "s")).toHaveLength(end - 1);
    expect(store.files.names).not.toContain("spare");
    expect(store.fatal).toEqual([]);
  });
});
