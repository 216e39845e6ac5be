import { BUSY_MAX, EVENT_BYTES } from "../http-context.js";
import type { AppendTask } from "../load-task.js";
import type { BesideContext } from "./beside-context.js";
import type { Measure, Round } from "./comparison.js";
import type { Contender } from "./contender.js";
import { usageOf } from "./process-tree.js";

const WARM_UP_SECONDS = 1;
const MIB = 1024 * 1024;

const COST = [
  { key: "cpu", title: "CPU µs/event" },
  { key: "memory", title: "RSS MiB" },
  { key: "written", title: "written B/event" },
] as const satisfies readonly Measure[];

export const THROUGHPUT = [
  { key: "rate", title: "events/s" },
  { key: "p50", title: "p50 ms" },
  { key: "p99", title: "p99 ms" },
  { key: "p999", title: "p99.9 ms" },
  ...COST,
] as const satisfies readonly Measure[];

type Load = Pick<AppendTask, "sessions"> & Partial<AppendTask>;

/** Appends to a contender, what came of it and what it cost. Refusals spoil a figure, so there must be none. */
export async function measureAppends(
  context: BesideContext,
  contender: Contender,
  load: Load,
): Promise<Round> {
  const before = await usageOf(contender.pids);
  const report = await context.load<"append">({
    kind: "append",
    connections: 64,
    eventsPerRequest: 1,
    eventBytes: EVENT_BYTES,
    warmUpSeconds: WARM_UP_SECONDS,
    seconds: context.options.seconds,
    ...load,
    target: contender.target,
  });
  const after = await usageOf(contender.pids);
  if (report.refused > 0) throw new Error(`${report.refused} appends were refused`);
  const { p50, p99, p999, curve } = report.latency;
  const { seen } = report;
  return {
    values: {
      rate: report.events / report.seconds,
      ...{ p50, p99, p999 },
      ...(seen.count > 0 && { seen50: seen.p50, seen99: seen.p99, seen999: seen.p999 }),
      cpu: ((after.cpuSeconds - before.cpuSeconds) / report.eventsInAll) * 1e6,
      memory: after.memoryBytes / MIB,
      written: (after.writtenBytes - before.writtenBytes) / report.eventsInAll,
    },
    curve: seen.count > 0 ? seen.curve : curve,
    notes: generatorNotes(report.busy),
  };
}

/** Says so when the generator, and not the server, may have been the limit. */
export function generatorNotes(busy: number): string[] {
  return busy > BUSY_MAX ? ["the load generator may be the limit"] : [];
}
