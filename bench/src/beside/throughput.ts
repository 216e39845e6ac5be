import { measureAppends, THROUGHPUT } from "./appends.js";
import { type BesideContext, compare } from "./beside-context.js";
import type { Comparison } from "./comparison.js";
import { NotOffered } from "./contender.js";
import { daybookTo } from "./goals.js";

const SESSIONS = { prefix: "single-", count: 2_000 };

/** One event a request, over many sessions: every connection sends its next one when the last is answered. */
export async function singlePosts(context: BesideContext): Promise<Comparison> {
  const connections = context.options.quick ? [64] : [1, 16, 64, 256];
  await createEverywhere(context, SESSIONS);
  const comparison = await compare(context, {
    title: "POST of one event, closed loop",
    measures: THROUGHPUT,
    variants: connections.map((count) => ({
      name: connectionsText(count),
      load: count,
      measure: (contender) => measureAppends(context, contender, { sessions: SESSIONS, connections: count }),
    })),
  });
  const goals = { redis: 1, postgres: 2 };
  return { ...comparison, goals: daybookTo(comparison, connectionsText(64), goals) };
}

function connectionsText(count: number): string {
  return count === 1 ? "1 connection" : `${count} connections`;
}

/** Over Phoenix sockets, each joined to a session of its own: what is appended also comes back on it. */
export async function socketAppends(context: BesideContext): Promise<Comparison> {
  const counts = context.options.quick ? [64] : [64, 256];
  return compare(context, {
    title: "append of one event over a socket that follows the session as well, closed loop",
    measures: THROUGHPUT,
    variants: counts.map((count) => ({
      name: `${count} sockets`,
      load: count,
      measure: async (contender, round) => {
        if (contender.target.api === "durable streams")
          throw new NotOffered("its protocol has no socket that takes appends");
        const sessions = { prefix: `socket${count}-${round}-`, count };
        await context.load<"create">({ kind: "create", target: contender.target, sessions });
        return measureAppends(context, contender, { sessions, connections: count, overSocket: true });
      },
    })),
  });
}

/** Lists of events, each one commit. */
export async function batches(context: BesideContext): Promise<Comparison> {
  const sizes = context.options.quick ? [100] : [10, 100];
  const sessions = { prefix: "batch-", count: 2_000 };
  await createEverywhere(context, sessions);
  const name = (size: number): string => `lists of ${size}`;
  const comparison = await compare(context, {
    title: "POST of lists of events, 16 connections, closed loop; latency is a list's",
    measures: THROUGHPUT,
    variants: sizes.map((size) => ({
      name: name(size),
      measure: (contender) =>
        measureAppends(context, contender, { sessions, connections: 16, eventsPerRequest: size }),
    })),
  });
  const goals = { redis: 1.5, postgres: 3 };
  return { ...comparison, goals: sizes.flatMap((size) => daybookTo(comparison, name(size), goals)) };
}

/** One session, where no two appends can be decided apart. */
export async function hotSession(context: BesideContext): Promise<Comparison> {
  return compare(context, {
    title: "POST of one event, all to one session, closed loop",
    measures: THROUGHPUT,
    variants: [
      {
        name: connectionsText(64),
        measure: async (contender, round) => {
          const sessions = { prefix: `hot-${round}-`, count: 1 };
          await context.load<"create">({ kind: "create", target: contender.target, sessions });
          return measureAppends(context, contender, { sessions, connections: 64 });
        },
      },
    ],
  });
}

async function createEverywhere(
  context: BesideContext,
  sessions: { readonly prefix: string; readonly count: number },
): Promise<void> {
  for (const { target } of context.contenders)
    await context.load<"create">({ kind: "create", target, sessions });
}
