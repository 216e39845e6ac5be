import { join } from "node:path";
import { type Part, partTimes, takeProfile } from "../cpu-profile.js";
import { EVENT_BYTES } from "../http-context.js";
import { type BesideContext, compare } from "./beside-context.js";
import type { Comparison, Measure, Round } from "./comparison.js";
import type { Contender } from "./contender.js";
import { loadFanOut } from "./fan-out.js";

const PARTS = [
  { key: "sockets", title: "socket calls" },
  { key: "http", title: "Node's HTTP" },
  { key: "framework", title: "fastify & co" },
  { key: "own", title: "own code" },
  { key: "store", title: "store or its client" },
  { key: "memory", title: "garbage" },
  { key: "rest", title: "event loop, rest" },
] as const satisfies readonly (Measure & { readonly key: Part })[];
const SESSIONS = { prefix: "thread-", count: 2_000 };
const FOLLOWERS = 100;

/**
 * Where the JavaScript thread that answers spends its time, by its CPU profile. On two cores that thread is what limits
 * every server here, and this says what would have to become cheaper.
 */
export async function threadTime(context: BesideContext): Promise<Comparison> {
  for (const { target } of context.contenders)
    await context.load<"create">({ kind: "create", target, sessions: SESSIONS });
  const appends = (connections: number, eventsPerRequest: number) => (contender: Contender) =>
    profiled(context, contender, async () => {
      const { eventsInAll } = await context.load<"append">({
        kind: "append",
        target: contender.target,
        sessions: SESSIONS,
        eventBytes: EVENT_BYTES,
        warmUpSeconds: 1,
        seconds: context.options.seconds,
        connections,
        eventsPerRequest,
      });
      return eventsInAll / eventsPerRequest;
    });
  return compare(context, {
    title:
      "what the JavaScript thread is busy with, in µs: by request answered, or by event sent to a follower",
    measures: [{ key: "busy", title: "busy µs" }, ...PARTS],
    variants: [
      { name: "one event, 64 connections", measure: appends(64, 1) },
      { name: "lists of 10, 16 connections", measure: appends(16, 10) },
      {
        name: `${FOLLOWERS} followers`,
        measure: (contender, round) =>
          profiled(context, contender, async () => {
            const { frames } = await loadFanOut(context, contender.target, { count: FOLLOWERS, round });
            return frames;
          }),
      },
    ],
  });
}

/** Profiles are written at the end of a process, so every round ends its server; the next one finds it running again. */
async function profiled(
  context: BesideContext,
  contender: Contender,
  load: () => Promise<number>,
): Promise<Round> {
  const from = nowMicros();
  const count = await load();
  const to = nowMicros();
  await contender.end("SIGTERM");
  const profile = await takeProfile(join(context.options.profileDir ?? "", contender.name));
  await contender.run();
  const times = partTimes(profile, from, to);
  const values = Object.fromEntries(PARTS.map(({ key }) => [key, times[key] / count]));
  const busy = Object.values(values).reduce((sum, value) => sum + value, 0);
  return { values: { busy, ...values }, notes: [] };
}

/** By the clock of the profiles. */
function nowMicros(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
