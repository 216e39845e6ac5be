import { decideErase, type LogId } from "@daybook/core";
import type { EmbeddedEngine } from "@daybook/engine-embedded";
import { openLoop } from "./engine-load.js";
import { Folder, Sessions } from "./engine-store.js";
import type { BenchOptions } from "./options.js";
import { judged, median, type Row, spread } from "./row.js";

const LONG = 40_000;
/** Other sessions whose events stand between those of the long one. */
const OTHERS = 3;
const PAGE = { eventsMax: 1_000, bytesMax: 8 * 1024 * 1024 };
const FIRST_PAGE = { eventsMax: 100, bytesMax: 8 * 1024 * 1024 };

/** A long session among others, each event in a frame of its own: the hardest case to read. */
async function fill(engine: EmbeddedEngine): Promise<{ long: LogId; others: Sessions }> {
  const [long, others] = [new Sessions("long-", 1), new Sessions("beside-", OTHERS)];
  await long.create(engine);
  await others.create(engine);
  for (let appended = 0; appended < LONG; appended += 250) {
    const work: Promise<unknown>[] = [];
    for (let index = 0; index < 250; index++) {
      work.push(long.append(engine, 0));
      for (let other = 0; other < OTHERS; other++) work.push(others.append(engine, other));
    }
    await Promise.all(work);
  }
  return { long: long.ids[0] as LogId, others };
}

/** Reading a long session from disk: memory is cold after a restart, the page cache is not. */
export async function replay({ rounds }: BenchOptions): Promise<Row[]> {
  await using folder = await Folder.make();
  const filled = await folder.open();
  const { long } = await fill(filled);
  await filled.close();
  const [firsts, befores, rates]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const engine = await folder.open();
    firsts.push(await timed(() => engine.read(long, 0, FIRST_PAGE)));
    befores.push(await timed(() => engine.read(long, LONG / 2, FIRST_PAGE)));
    rates.push((LONG / (await timed(() => readWhole(engine, long)))) * 1000);
    await engine.close();
  }
  return [
    judged(
      { name: "first page of 40,000", value: median(firsts), unit: "ms", note: spread(firsts) },
      { atMost: 50 },
    ),
    judged(
      { name: "a page before a seq", value: median(befores), unit: "ms", note: spread(befores) },
      { atMost: 50 },
    ),
    judged(
      { name: "all 40,000, in pages", value: median(rates), unit: "events/s", note: spread(rates) },
      { atLeast: 300_000 },
    ),
  ];
}

async function readWhole(engine: EmbeddedEngine, id: LogId): Promise<void> {
  let cursor = 0;
  for (;;) {
    const { events } = await engine.read(id, cursor, PAGE);
    const last = events.at(-1);
    if (last === undefined) break;
    cursor = last.seq;
  }
  if (cursor !== LONG) throw new Error(`read up to ${cursor}`);
}

async function timed(work: () => unknown): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Erasing a long session while others write. */
export async function erasure({ rounds }: BenchOptions): Promise<Row[]> {
  const [times, p99s]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    await using folder = await Folder.make();
    const engine = await folder.open();
    const { long, others } = await fill(engine);
    let erased = false;
    const load = openLoop(
      2_000,
      () => erased,
      () => others.appendNext(engine),
    );
    const startedAt = performance.now();
    await engine.transact(long, {}, (head) => decideErase(head, long));
    while (engine.erasuresPending > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    times.push(performance.now() - startedAt);
    erased = true;
    p99s.push((await load).latency.percentiles().p99);
    await engine.close();
  }
  return [
    judged(
      { name: "erasing 40,000 events", value: median(times), unit: "ms", note: spread(times) },
      { atMost: 2_000 },
    ),
    judged(
      { name: "  p99 of others' appends meanwhile", value: median(p99s), unit: "ms", note: spread(p99s) },
      { atMost: 20 },
    ),
  ];
}
