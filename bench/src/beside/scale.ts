import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { EVENT_BYTES } from "../http-context.js";
import { showNumber } from "../row.js";
import { type BesideContext, compare } from "./beside-context.js";
import type { Comparison, Measure, Round } from "./comparison.js";
import type { Contender } from "./contender.js";
import { daybookAtMost } from "./goals.js";
import { usageOf } from "./process-tree.js";

const KIB = 1024;
const MIB = 1024 * KIB;

const IDLE_TAILS = 10_000;
/** Files a process needs beside its connections. */
const OTHER_FILES = 500;
const FIRST_TAILS = 500;

/** What a tail costs that nothing happens on: each on a session of its own. */
export async function idleTails(context: BesideContext): Promise<Comparison> {
  const wanted = context.options.quick ? IDLE_TAILS / 10 : IDLE_TAILS;
  const tails = Math.min(wanted, (await openFilesMax()) - OTHER_FILES);
  const name = `${showNumber(tails)} tails`;
  const measures = [
    { key: "each", title: "KiB a tail" },
    { key: "before", title: "RSS MiB before" },
    { key: "after", title: "RSS MiB with them" },
    { key: "opening", title: "tails opened/s" },
    { key: "cpu", title: "CPU % of a core, idle" },
  ] as const satisfies readonly Measure[];
  const comparison = await compare(context, {
    title: "idle tails, each on a session of its own",
    measures,
    variants: [{ name, measure: (contender, round) => measureIdle(context, contender, { tails, round }) }],
    roundsMax: 1,
  });
  return { ...comparison, goals: daybookAtMost(comparison, name, { each: 16 }) };
}

async function measureIdle(
  context: BesideContext,
  { target, pids }: Contender,
  { tails, round }: { readonly tails: number; readonly round: number },
): Promise<Round> {
  const sessions = { prefix: `idle${round}-`, count: tails };
  await context.load<"create">({ kind: "create", target, sessions });
  // Code, caches and heap that the first tails bring are not what each one costs.
  await context.load<"open_tails">({
    kind: "open_tails",
    target,
    sessions,
    tails: FIRST_TAILS,
    reading: true,
  });
  await context.load<"close_tails">({ kind: "close_tails" });
  const before = await settledBytes(context, pids);
  const startedAt = performance.now();
  await context.load<"open_tails">({ kind: "open_tails", target, sessions, tails, reading: true });
  const opening = tails / ((performance.now() - startedAt) / 1000);
  const after = await settledBytes(context, pids);
  const cpu = await idleShare(pids);
  await context.load<"close_tails">({ kind: "close_tails" });
  return {
    values: { each: (after - before) / tails / KIB, before: before / MIB, after: after / MIB, opening, cpu },
    notes: [],
  };
}

async function openFilesMax(): Promise<number> {
  const limits = await readFile("/proc/self/limits", "utf8");
  return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? "1024");
}

const IDLE_MS = 2_000;

async function idleShare(pids: readonly number[]): Promise<number> {
  const before = await usageOf(pids);
  await sleep(IDLE_MS);
  const after = await usageOf(pids);
  return ((after.cpuSeconds - before.cpuSeconds) / (IDLE_MS / 1000)) * 100;
}

const SETTLE_MS_MAX = 20_000;

/** Memory once it has stopped shrinking: garbage goes when the collector has nothing better to do. */
async function settledBytes({ options }: BesideContext, pids: readonly number[]): Promise<number> {
  const deadline = performance.now() + (options.quick ? SETTLE_MS_MAX / 4 : SETTLE_MS_MAX);
  let [lowest, calm] = [Infinity, 0];
  while (calm < 5 && performance.now() < deadline) {
    await sleep(1_000);
    const { memoryBytes } = await usageOf(pids);
    calm = memoryBytes < lowest * 0.995 ? 0 : calm + 1;
    lowest = Math.min(lowest, memoryBytes);
  }
  return lowest;
}

const RECOVERY_SESSIONS = 1_000;
const RECOVERY_LIST = 100;

/** From the start after a kill -9 until the first answer, with so much in the log. */
export async function recovery(context: BesideContext): Promise<Comparison> {
  const { quick, full } = context.options;
  const bytes = (full ? 1_024 : quick ? 32 : 256) * MIB;
  const perSession = Math.ceil(bytes / EVENT_BYTES / RECOVERY_SESSIONS / RECOVERY_LIST) * RECOVERY_LIST;
  const sessions = { prefix: "kept-", count: RECOVERY_SESSIONS };
  const measures = [
    { key: "ms", title: "ms to an answer" },
    { key: "memory", title: "RSS MiB" },
  ] as const satisfies readonly Measure[];
  return compare(context, {
    title: `start after kill -9 with ${showNumber(bytes / MIB)} MiB of events`,
    measures,
    variants: [
      {
        name: `${showNumber(perSession * RECOVERY_SESSIONS)} events`,
        prepare: async ({ target }) => {
          await context.load<"create">({ kind: "create", target, sessions });
          await context.load<"fill">({
            kind: "fill",
            ...{ target, sessions, eventsPerSession: perSession, eventBytes: EVENT_BYTES },
            eventsPerRequest: RECOVERY_LIST,
          });
        },
        measure: async (contender, round) => {
          // What it did since it last came up is what it has to go through: the same every time.
          const fresh = { prefix: `fresh${round}-`, count: 64 };
          await context.load<"create">({ kind: "create", target: contender.target, sessions: fresh });
          await contender.end("SIGKILL");
          const startedAt = performance.now();
          await contender.run();
          const again = { prefix: `again${round}-`, count: 1 };
          await context.load<"create">({ kind: "create", target: contender.target, sessions: again });
          const ms = performance.now() - startedAt;
          return { values: { ms, memory: (await usageOf(contender.pids)).memoryBytes / MIB }, notes: [] };
        },
      },
    ],
    roundsMax: 2,
  });
}
