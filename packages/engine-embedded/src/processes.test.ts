import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appendOne, BY_ID, create, listAll, note, readAll } from "@daybook/engine/contract/commands";
import { StoreProcess } from "@daybook/test-kit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkFolder } from "./check-folder.js";
import { openEngine } from "./open-engine.js";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "daybook-processes-"));
});

afterEach(() => rm(folder, { recursive: true }));

describe("a data folder", () => {
  it("has one process at a time: a second one is refused, in the same process too", async () => {
    const engine = await openEngine(folder);
    await expect(openEngine(folder)).rejects.toMatchObject({ code: "locked" });
    const other = new StoreProcess(folder, "hold");
    await other.ended;
    expect(other.lines).toEqual(["refused locked"]);
    await create(engine, "s");
    await engine.close();
    await openEngine(folder).then((next) => next.close());
  });

  it("is free again when its holder was killed with -9", async () => {
    const holder = new StoreProcess(folder, "hold");
    await holder.said(1);
    expect(holder.lines).toEqual(["open"]);
    await expect(openEngine(folder)).rejects.toMatchObject({ code: "locked" });
    await holder.kill();
    await openEngine(folder).then((next) => next.close());
  });

  it("goes to exactly one of many that start at once", async () => {
    const starters = [1, 2, 3, 4].map(() => new StoreProcess(folder, "hold"));
    await Promise.all(starters.map((starter) => starter.said(1)));
    const said = starters.flatMap(({ lines }) => lines).sort();
    expect(said).toEqual(["open", "refused locked", "refused locked", "refused locked"]);
    await Promise.all(starters.map((starter) => starter.kill()));
  });

  it("is not locked by an opening that was refused", async () => {
    const engine = await openEngine(folder);
    await create(engine, "s");
    await engine.close();
    await rm(join(folder, "log"), { recursive: true });
    await expect(openEngine(folder)).rejects.toMatchObject({ code: "lost_tail" });
    await rm(join(folder, "views"), { recursive: true });
    await openEngine(folder).then((next) => next.close());
  });
});

describe("kill -9 in the middle of appends, again and again", () => {
  it("loses nothing that was acknowledged, keeps seqs contiguous and shows no ghost", async () => {
    let events: string[] = [];
    for (let round = 1; round <= 5; round++) {
      const writer = new StoreProcess(folder, "append", round);
      await writer.said(60 * round);
      await writer.kill();
      const stored = writer.lines.filter((line) => line.startsWith("stored "));
      const engine = await openEngine(folder, { settings: { segmentBytes: 50_000 } });
      const now = await readAll(engine, "s");
      // What an earlier life showed is still there, byte for byte.
      expect(now.slice(0, events.length)).toEqual(events);
      for (const line of stored) {
        const [, producer = "", producerSeq = "", seq = ""] = line.split(" ");
        expect(JSON.parse(now[Number(seq) - 1] ?? "{}")).toMatchObject({
          seq: Number(seq),
          producer_id: producer,
          producer_seq: Number(producerSeq),
        });
        expect(
          await appendOne(
            engine,
            "s",
            note(producer, Number(producerSeq), `{"n":"${producer}.${producerSeq}"}`),
          ),
        ).toBe(Number(seq));
      }
      expect(stored.length).toBeGreaterThan(50);
      expect(now.length).toBeGreaterThanOrEqual(events.length + stored.length);
      expect(await listAll(engine, BY_ID)).toEqual(["s"]);
      events = await readAll(engine, "s");
      await engine.close();
    }
    expect((await checkFolder(folder)).problems).toEqual([]);
  });
});
