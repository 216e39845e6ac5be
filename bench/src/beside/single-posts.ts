import { type BesideContext, compare } from "./beside-context.js";
import { measureAppends, THROUGHPUT } from "./appends.js";
import type { Comparison } from "./comparison.js";

const SESSIONS = { prefix: "single-", count: 2_000 };

/** One event a request, over many sessions: every connection sends its next one when the last is answered. */
export async function singlePosts(context: BesideContext): Promise<Comparison> {
  const connections = context.options.quick ? [64] : [1, 16, 64, 256];
  for (const { target } of context.contenders)
    await context.load<"create">({ kind: "create", target, sessions: SESSIONS });
  return compare(context, {
    title: "POST of one event, closed loop",
    measures: THROUGHPUT,
    variants: connections.map((count) => ({
      name: count === 1 ? "1 connection" : `${count} connections`,
      measure: (contender) => measureAppends(context, contender, { sessions: SESSIONS, connections: count }),
    })),
  });
}
