import { join } from "node:path";
import type { EmbeddedEngine } from "@daybook/engine-embedded";
import { BareLog } from "./bare-log.js";
import { closedLoop, openLoop } from "./engine-load.js";
import { Folder, FRAME_BYTES, Sessions, viewsCaughtUp } from "./engine-store.js";
import type { BenchOptions } from "./options.js";
import { judged, median, type Row, spread } from "./row.js";

const IN_FLIGHT = 64;
const SESSIONS = 10_000;
const MIB = 1024 * 1024;
/** About a sixth of what the engine can take on two cores. */
const MODERATE_PER_SECOND = 12_000;

/** Single events over many sessions, beside a bare write and fdatasync with the same batching, in turns. */
export async function manySessions({ seconds, rounds }: BenchOptions): Promise<Row[]> {
  await using folder = await Folder.make();
  const engine = await folder.open();
  const sessions = new Sessions("many-", SESSIONS);
  await sessions.create(engine);
  const [engineRates, bareRates, atOnce, p99s, lags] = [[], [], [], [], []] as [
    number[],
    number[],
    number[],
    number[],
    number[],
  ];
  for (let round = 0; round < rounds; round++) {
    await viewsCaughtUp(engine);
    bareRates.push(await bareRate(folder, IN_FLIGHT, Math.min(seconds, 5)));
    atOnce.push(await bareRate(folder, IN_FLIGHT, Math.min(seconds, 5), "at once"));
    const watch = setInterval(() => lags.push(engine.viewLagBytes / MIB), 100);
    const load = await closedLoop(IN_FLIGHT, seconds, () => sessions.appendNext(engine));
    clearInterval(watch);
    engineRates.push(load.done / load.seconds);
    p99s.push(load.latency.percentiles().p99);
  }
  await engine.close();
  const ratios = engineRates.map((rate, round) => rate / (bareRates[round] ?? Number.NaN));
  const name = `${IN_FLIGHT} in flight over ${SESSIONS} sessions`;
  return [
    { name, value: median(engineRates), unit: "events/s", note: spread(engineRates) },
    {
      name: "  bare write + fdatasync, same batching",
      value: median(bareRates),
      unit: "events/s",
      note: spread(bareRates),
    },
    {
      name: "  bare write + fdatasync, all at once",
      value: median(atOnce),
      unit: "events/s",
      note: spread(atOnce),
    },
    judged(
      { name: "  engine : bare", value: median(ratios), unit: "ratio", note: spread(ratios) },
      { atLeast: 0.6 },
    ),
    judged({ name: "  most the views lagged", value: Math.max(...lags), unit: "MiB" }, { atMost: 132 }),
    { name: "  median the views lagged", value: median(lags), unit: "MiB" },
    { name: "  closed-loop p99", value: median(p99s), unit: "ms", note: spread(p99s) },
  ];
}

async function bareRate(
  folder: Folder,
  inFlight: number,
  seconds: number,
  batching?: "as the engine" | "at once",
): Promise<number> {
  const bare = await BareLog.open(join(folder.path, "bare"), FRAME_BYTES, batching);
  const load = await closedLoop(inFlight, seconds, () => bare.append());
  await bare.close();
  return load.done / load.seconds;
}

/** One session alone: one writer that waits for each answer, then many at once. */
export async function oneSession({ seconds, rounds }: BenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [inFlight, atLeast] of [
    [1, 2_000],
    [IN_FLIGHT, 20_000],
  ] as const) {
    await using folder = await Folder.make();
    const engine = await folder.open();
    const session = new Sessions("one-", 1);
    await session.create(engine);
    const [rates, ratios] = await besideBare(folder, { seconds, rounds, inFlight }, () =>
      session.append(engine, 0),
    );
    await engine.close();
    const name = `one session, ${inFlight} in flight`;
    rows.push(judged({ name, value: median(rates), unit: "events/s", note: spread(rates) }, { atLeast }));
    rows.push({ name: "  engine : bare", value: median(ratios), unit: "ratio", note: spread(ratios) });
  }
  return rows;
}

async function besideBare(
  folder: Folder,
  { seconds, rounds, inFlight }: { seconds: number; rounds: number; inFlight: number },
  work: () => Promise<unknown>,
): Promise<[rates: number[], ratios: number[]]> {
  const [rates, ratios]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const bare = await bareRate(folder, inFlight, Math.min(seconds, 2));
    const load = await closedLoop(inFlight, seconds, work);
    rates.push(load.done / load.seconds);
    ratios.push(load.done / load.seconds / bare);
  }
  return [rates, ratios];
}

/** Lists of 100 events. */
export async function batches({ seconds, rounds }: BenchOptions): Promise<Row[]> {
  await using folder = await Folder.make();
  const engine = await folder.open();
  const sessions = new Sessions("batches-", 100);
  await sessions.create(engine);
  const rates: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const load = await closedLoop(16, seconds, () => sessions.appendNext(engine, 100));
    rates.push((load.done * 100) / load.seconds);
  }
  await engine.close();
  const name = "batches of 100, 16 in flight";
  return [
    judged({ name, value: median(rates), unit: "events/s", note: spread(rates) }, { atLeast: 150_000 }),
  ];
}

/** A moderate, even load: what writing the views does to single appends. */
export async function stalls({ seconds, rounds }: BenchOptions): Promise<Row[]> {
  await using folder = await Folder.make();
  const engine = await folder.open();
  const sessions = new Sessions("stalls-", SESSIONS);
  await sessions.create(engine);
  const [p50s, p999s]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const { p50, p999 } = await moderateLoad(engine, sessions, seconds);
    p50s.push(p50);
    p999s.push(p999);
  }
  await engine.close();
  const name = `${MODERATE_PER_SECOND} a second over ${SESSIONS} sessions`;
  return [
    { name: `${name}: p50`, value: median(p50s), unit: "ms", note: spread(p50s) },
    judged({ name: "  p99.9", value: median(p999s), unit: "ms", note: spread(p999s) }, { atMost: 10 }),
  ];
}

async function moderateLoad(
  engine: EmbeddedEngine,
  sessions: Sessions,
  seconds: number,
): Promise<{ p50: number; p999: number }> {
  const endsAt = performance.now() + seconds * 1000;
  const load = await openLoop(
    MODERATE_PER_SECOND,
    () => performance.now() > endsAt,
    () => sessions.appendNext(engine),
  );
  return load.latency.percentiles();
}
