import { latencySeconds } from "../options.js";
import { showNumber } from "../row.js";
import { measureAppends } from "./appends.js";
import { type BesideContext, compare, type Variant } from "./beside-context.js";
import type { Comparison, Measure, Round } from "./comparison.js";
import { type Contender, NotOffered } from "./contender.js";
import { daybookAtMost } from "./goals.js";

/** Each session is followed over a WebSocket of its own. */
const SESSIONS = 64;

const MEASURES = [
  { key: "seen99", title: "seen p99 ms" },
  { key: "seen50", title: "seen p50" },
  { key: "seen999", title: "seen p99.9" },
  { key: "p50", title: "answered p50" },
  { key: "p99", title: "answered p99" },
  { key: "p999", title: "answered p99.9" },
  { key: "offered", title: "events/s offered" },
  { key: "cpu", title: "CPU µs/event" },
] as const satisfies readonly Measure[];

const HALF = "half of its own peak";
const COMMON = "the same load for all";
/** Who takes less than this share of what Daybook takes would hold all others down to it. */
const SLOW_SHARE = 0.25;

/** Append → answered, and append → seen on another connection's tail, in an open loop. */
export async function readYourWrites(context: BesideContext): Promise<Comparison> {
  const peaks = new Map<Contender, number>();
  for (const contender of context.contenders) {
    context.say(`peak: ${contender.name}`);
    const peak = await measurePeak(context, contender).catch((error: unknown) => {
      context.say(`${contender.name} has no peak: ${String(error)}`);
    });
    if (peak !== undefined) peaks.set(contender, peak);
  }
  const tooSlow = SLOW_SHARE * (peaks.get(context.daybook) ?? 0);
  const common = Math.min(...[...peaks.values()].filter((peak) => peak >= tooSlow)) / 2;
  const variant = (name: string, rateOf: (peak: number) => number): Variant => ({
    name,
    measure: (contender, round) => {
      const peak = peaks.get(contender);
      if (peak === undefined) throw new Error("its peak could not be measured");
      const rate = rateOf(peak);
      if (rate > peak / 2) throw new NotOffered(`takes ${showNumber(peak)} events/s at most`);
      return measureSeen(context, contender, { prefix: `${name.slice(0, 4)}${round}-`, rate });
    },
  });
  const comparison = await compare(context, {
    title: `append → seen on another connection's tail, ${SESSIONS} followed sessions, open loop`,
    measures: MEASURES,
    variants: context.options.quick
      ? [variant(COMMON, () => common)]
      : [variant(HALF, (peak) => peak / 2), variant(COMMON, () => common)],
  });
  const goals = { p99: 9, p999: 22, seen99: 10, seen999: 60 };
  return { ...comparison, goals: daybookAtMost(comparison, HALF, goals) };
}

/** What it takes of this very load, followers and all, with 64 connections that never pause. */
async function measurePeak(context: BesideContext, contender: Contender): Promise<number> {
  const sessions = { prefix: "peak-", count: SESSIONS };
  await context.load<"create">({ kind: "create", target: contender.target, sessions });
  return (await measureAppends(context, contender, { sessions, follow: true })).values["rate"] ?? 0;
}

async function measureSeen(
  context: BesideContext,
  contender: Contender,
  { prefix, rate }: { readonly prefix: string; readonly rate: number },
): Promise<Round> {
  const sessions = { prefix: prefix.replaceAll(" ", "-"), count: SESSIONS };
  await context.load<"create">({ kind: "create", target: contender.target, sessions });
  const round = await measureAppends(context, contender, {
    sessions,
    requestsPerSecond: rate,
    follow: true,
    seconds: latencySeconds(context.options),
  });
  return { ...round, values: { ...round.values, offered: rate } };
}
