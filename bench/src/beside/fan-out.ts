import { EVENT_BYTES } from "../http-context.js";
import { generatorNotes } from "./appends.js";
import { type BesideContext, compare } from "./beside-context.js";
import type { FanOutReport } from "../load-task.js";
import type { Comparison, Measure, Round } from "./comparison.js";
import type { Contender } from "./contender.js";
import { daybookAtLeast, daybookTo } from "./goals.js";
import { usageOf } from "./process-tree.js";

const PUBLISHED_AT_ONCE = 16;
/** Enough that no server waits for its next append, and few enough that no follower is far behind. */
const PUBLISHERS = 4;
const AHEAD_MAX = 16 * PUBLISHED_AT_ONCE;
const MEASURES = [
  { key: "rate", title: "deliveries/s" },
  { key: "published", title: "published events/s" },
  { key: "cpu", title: "CPU µs/delivery" },
] as const satisfies readonly Measure[];

/** One session, many followers: one publisher that goes as fast as they take it. */
export async function fanOut(context: BesideContext): Promise<Comparison> {
  const counts = context.options.quick ? [100] : [1, 100, 1_000];
  const name = (count: number): string => (count === 1 ? "1 follower" : `${count} followers`);
  const comparison = await compare(context, {
    title: `followers of one session, which gets lists of ${PUBLISHED_AT_ONCE} events over ${PUBLISHERS} connections`,
    measures: MEASURES,
    variants: counts.map((count) => ({
      name: name(count),
      measure: (contender, round) => measureFanOut(context, contender, { count, round }),
    })),
  });
  const others = context.contenders.map((contender) => contender.name).filter((other) => other !== "daybook");
  const goals = Object.fromEntries(others.map((other) => [other, 3]));
  return {
    ...comparison,
    goals: [
      ...counts.flatMap((count) => daybookTo(comparison, name(count), goals)),
      ...daybookAtLeast(comparison, name(1_000), { rate: 500_000 }),
    ],
  };
}

async function measureFanOut(
  context: BesideContext,
  { target, pids }: Contender,
  crowd: Crowd,
): Promise<Round> {
  const before = await usageOf(pids);
  const { report, frames } = await loadFanOut(context, target, crowd);
  const after = await usageOf(pids);
  return {
    values: {
      rate: report.deliveries / report.seconds,
      published: report.published / report.seconds,
      cpu: ((after.cpuSeconds - before.cpuSeconds) / frames) * 1e6,
    },
    notes: generatorNotes(report.busy),
  };
}

/** So many followers of a session that is new in every round. */
interface Crowd {
  readonly count: number;
  readonly round: number;
}

/** Publishes to a crowd; also says how many frames reached it in all, those of warming up included. */
export async function loadFanOut(
  context: BesideContext,
  target: Contender["target"],
  { count, round }: Crowd,
): Promise<{ readonly report: FanOutReport; readonly frames: number }> {
  const sessions = { prefix: `crowd${count}-${round}-`, count: 1 };
  await context.load<"create">({ kind: "create", target, sessions });
  await context.load<"open_tails">({ kind: "open_tails", target, sessions, tails: count, reading: true });
  const report = await context.load<"fan_out">({
    kind: "fan_out",
    target,
    sessions,
    eventsPerRequest: PUBLISHED_AT_ONCE,
    eventBytes: EVENT_BYTES,
    warmUpSeconds: 1,
    seconds: context.options.seconds,
    publishers: PUBLISHERS,
    eventsAheadMax: AHEAD_MAX,
  });
  const { frames } = await context.load<"close_tails">({ kind: "close_tails" });
  return { report, frames };
}
