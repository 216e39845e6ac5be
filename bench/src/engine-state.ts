import {
  decideAppend,
  decideFork,
  type Fork,
  LogId,
  needsOfAppend,
  needsOfFork,
  readStateChange,
} from "@daybook/core";
import type { EmbeddedEngine } from "@daybook/engine-embedded";
import { RawJson } from "@daybook/protocol";
import { eventOf, Folder, Sessions, viewsCaughtUp } from "./engine-store.js";
import type { BenchOptions } from "./options.js";
import { judged, median, type Row, spread } from "./row.js";

const EVENTS = 120_000;
const EVENTS_AT_ONCE = 1_000;
/** All of them are set by seq 100, so that a page holds the same keys at any point looked at. */
const KEYS = 50;
const EARLY = 100;
const LATE = 100_000;
/** How long the session is that is forked. */
const FORKED = 100_000;
/** Each at a point of its own, before what is measured. */
const WARM_UP_LOOKS = 300;
const FORKS = 100;

const key = (index: number): string => `memory/${index % KEYS}`;

/** One session in which every event sets a key. */
async function fill(engine: EmbeddedEngine, count: number): Promise<LogId> {
  const sessions = new Sessions("stateful-", 1);
  await sessions.create(engine);
  const id = sessions.ids[0] as LogId;
  for (let first = 1; first <= count; first += EVENTS_AT_ONCE) {
    const events = Array.from({ length: EVENTS_AT_ONCE }, (_, index) => {
      const text = JSON.stringify({ set: { [key(first + index)]: { step: first + index } } });
      return { ...eventOf(first + index), state: readStateChange(new RawJson(text, "object")) };
    });
    const command = { events, batch: true };
    await engine.transact(id, needsOfAppend(command), (head, facts, now) =>
      decideAppend(head, facts, command, now),
    );
  }
  await viewsCaughtUp(engine);
  return id;
}

async function forked(engine: EmbeddedEngine, parent: LogId, name: string, atSeq: number): Promise<LogId> {
  const session = new LogId(parent.tenant, name);
  const header = { creator: { type: "service", id: "bench" }, title: null, metadata: "{}" };
  const command: Fork = { parent, create: { session, header }, atSeq };
  await engine.transact(parent, needsOfFork(command), (head, facts) => decideFork(head, facts, command));
  return session;
}

type Times = readonly [key: number, page: number];

/** Milliseconds of one read of a key, and of one page of all keys, as of a seq. */
async function readsAt(engine: EmbeddedEngine, id: LogId, atSeq: number): Promise<Times> {
  const times: [number[], number[]] = [[], []];
  // Each key once: a value that was read lately is in memory.
  for (let look = 0; look < KEYS; look++) {
    const startedAt = performance.now();
    await engine.stateKey(id, key(look), { atSeq });
    const betweenAt = performance.now();
    const { entries } = await engine.state(id, { atSeq, limit: KEYS });
    if (entries.length !== KEYS) throw new Error(`${entries.length} keys at seq ${atSeq}`);
    times[0].push(betweenAt - startedAt);
    times[1].push(performance.now() - betweenAt);
  }
  return [median(times[0]), median(times[1])];
}

/** State as of an early and of a late point, of a session and of a fork of it. */
export async function stateAt({ rounds }: BenchOptions): Promise<Row[]> {
  await using folder = await Folder.make();
  const filled = await folder.open();
  const id = await fill(filled, EVENTS);
  const fork = await forked(filled, id, "fork", EVENTS);
  await filled.close();
  const [early, late, now, ofFork]: [Times[], Times[], Times[], Times[]] = [[], [], [], []];
  for (let round = 0; round < rounds; round++) {
    const engine = await folder.open();
    for (let look = 1; look <= WARM_UP_LOOKS; look++)
      await engine.stateKey(id, key(look), { atSeq: look * 150 });
    for (const [times, session, atSeq] of [
      [late, id, LATE],
      [early, id, EARLY],
      [now, id, EVENTS],
      [ofFork, fork, LATE],
    ] as const)
      times.push(await readsAt(engine, session, atSeq));
    await engine.close();
  }
  return [0, 1].flatMap((which) => {
    const what = which === 0 ? "one key" : `a page of ${KEYS} keys`;
    const values = (times: readonly Times[]): number[] => times.map((pair) => pair[which] ?? 0);
    const row = (name: string, times: readonly Times[]): Row => ({
      name,
      value: median(values(times)),
      unit: "ms",
      note: spread(values(times)),
    });
    const both = [early, late].map((times) => median(values(times)));
    const ratio = Math.max(...both) / Math.min(...both);
    return [
      row(`${what} as of seq ${EARLY} of ${EVENTS}`, early),
      row(`  as of seq ${LATE}`, late),
      judged({ name: "  the slower one over the other", value: ratio, unit: "" }, { atMost: 2 }),
      row("  as of now", now),
      row(`  as of seq ${LATE}, inherited by a fork`, ofFork),
    ];
  });
}

/** Forking a long session, each at another seq, and reading on over the seam. */
export async function forks({ rounds }: BenchOptions): Promise<Row[]> {
  const [times, slowest, pages]: [number[], number[], number[]] = [[], [], []];
  await using folder = await Folder.make();
  const filled = await folder.open();
  const parent = await fill(filled, FORKED);
  await filled.close();
  for (let round = 0; round < rounds; round++) {
    const engine = await folder.open();
    const took: number[] = [];
    for (let index = 0; index < FORKS; index++) {
      const startedAt = performance.now();
      const atSeq = Math.floor((FORKED * (index + 1)) / FORKS);
      const id = await forked(engine, parent, `fork-${round}-${index}`, atSeq);
      took.push(performance.now() - startedAt);
      const readAt = performance.now();
      const { events } = await engine.read(id, atSeq - 100, { eventsMax: 100, bytesMax: 1_000_000 });
      pages.push(performance.now() - readAt);
      if (events.length !== 100) throw new Error(`${events.length} events`);
    }
    times.push(median(took));
    slowest.push(Math.max(...took));
    await engine.close();
  }
  return [
    judged(
      { name: `a fork of ${FORKED} events`, value: median(times), unit: "ms", note: spread(times) },
      { atMost: 10 },
    ),
    { name: `  the slowest of ${FORKS}`, value: median(slowest), unit: "ms", note: spread(slowest) },
    { name: "  its last 100 events, all inherited", value: median(pages), unit: "ms" },
  ];
}
