import { setTimeout as sleep } from "node:timers/promises";
import {
  fillSessions,
  halfOfPeak,
  type HttpContext,
  interleave,
  measureAppends,
  type Measured,
  notes,
  ratios,
} from "./http-context.js";
import { judged, median, type Row, showNumber, spread } from "./row.js";

const SLOW_READERS = 20;
/** More than all buffers between a server and a reader who does not read. */
const FILLED_EVENTS = 40_000;
/** How long their buffers take to fill. */
const FILLING_MS = 1_000;

/** Readers that stopped reading, on the session that is appended to. */
export async function slowReaders(context: HttpContext): Promise<Row[]> {
  const [server, generator, readers] = [await context.server(), context.generator(), context.generator()];
  const { target } = server;
  const sessions = { prefix: "slow-", count: 1 };
  await fillSessions(server, generator, { sessions, eventsPerSession: FILLED_EVENTS });
  const rate = await halfOfPeak(context, server, generator, { sessions });
  const append = (): Promise<Measured> =>
    measureAppends(context, server, generator, { sessions, requestsPerSecond: rate });
  let sentMeanwhile = 0;
  const results = await interleave(context, {
    without: append,
    "with 20 slow readers": async () => {
      await readers.run({ kind: "open_tails", target, sessions, tails: SLOW_READERS, reading: false });
      await sleep(FILLING_MS);
      const sentBefore = await server.metric("daybook_tail_events_total");
      const measured = await append();
      sentMeanwhile += (await server.metric("daybook_tail_events_total")) - sentBefore;
      await readers.run({ kind: "close_tails" });
      return measured;
    },
  });
  const p99 = (rounds: readonly Measured[]): number[] => rounds.map(({ latency }) => latency.p99);
  const [without, with20] = [p99(results.without), p99(results["with 20 slow readers"])];
  const moved = ratios(with20, without);
  const cpuOf = (rounds: readonly Measured[]): number[] => rounds.map((one) => one.cpuMicrosPerEvent);
  const cpu = ratios(cpuOf(results["with 20 slow readers"]), cpuOf(results.without));
  const at = `open loop at ${showNumber(rate)} events/s, half of peak`;
  return [
    {
      name: "append p99, nobody reads",
      value: median(without),
      unit: "ms",
      note: notes(spread(without), at),
    },
    {
      name: `append p99, ${SLOW_READERS} readers that stopped reading`,
      value: median(with20),
      unit: "ms",
      note: notes(spread(with20), `the server sent them ${showNumber(sentMeanwhile)} events meanwhile`),
    },
    judged(
      { name: "  with : without", value: median(moved), unit: "ratio", note: spread(moved) },
      { atMost: 1.25 },
    ),
    { name: "  server CPU, with : without", value: median(cpu), unit: "ratio", note: spread(cpu) },
  ];
}
