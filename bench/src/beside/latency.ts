import { showNumber } from "../row.js";
import { measureAppends } from "./appends.js";
import { type BesideContext, compare, type Variant } from "./beside-context.js";
import type { Comparison, Measure, Round } from "./comparison.js";
import type { Contender } from "./contender.js";
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
const COMMON = "the same for all: half of the lowest peak";

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
  const lowest = Math.min(...peaks.values());
  const variant = (name: string, rateOf: (peak: number) => number): Variant => ({
    name,
    measure: (contender, round) => {
      const peak = peaks.get(contender);
      if (peak === undefined) throw new Error("its peak could not be measured");
      return measureSeen(context, contender, { prefix: `${name.slice(0, 4)}${round}-`, rate: rateOf(peak) });
    },
  });
  const comparison = await compare(context, {
    title: `append → seen on another connection's tail, ${SESSIONS} followed sessions, open loop`,
    measures: MEASURES,
    variants: context.options.quick
      ? [variant(COMMON, () => lowest / 2)]
      : [variant(HALF, (peak) => peak / 2), variant(COMMON, () => lowest / 2)],
  });
  const goals = { p99: 9, p999: 22, seen99: 10, seen999: 60 };
  return { ...comparison, goals: daybookAtMost(comparison, HALF, goals) };
}

/** What it takes with 64 connections that never pause. */
async function measurePeak(context: BesideContext, contender: Contender): Promise<number> {
  const sessions = { prefix: "peak-", count: SESSIONS };
  await context.load<"create">({ kind: "create", target: contender.target, sessions });
  return (await measureAppends(context, contender, { sessions })).values["rate"] ?? 0;
}

async function measureSeen(
  context: BesideContext,
  contender: Contender,
  { prefix, rate }: { readonly prefix: string; readonly rate: number },
): Promise<Round> {
  const sessions = { prefix: prefix.replaceAll(" ", "-"), count: SESSIONS };
  await context.load<"create">({ kind: "create", target: contender.target, sessions });
  const round = await measureAppends(context, contender, { sessions, requestsPerSecond: rate, follow: true });
  return {
    ...round,
    values: { ...round.values, offered: rate },
    notes: [...round.notes, ...(rate < 1 ? [`only ${showNumber(rate)} events/s`] : [])],
  };
}
