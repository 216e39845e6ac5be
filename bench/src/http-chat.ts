import { busyNote, type HttpContext, interleave, notes } from "./http-context.js";
import { median, type Row, spread } from "./row.js";

const CHATS = 50;
const CHUNKS_PER_SECOND = 60;
/** The recorder's own default. A token waits for half of it on average. */
const BATCH_MS = 40;

/** Answers that people watch as they are made: from a model's token to a reader's screen, by the SDK on both sides. */
export async function chat(context: HttpContext): Promise<Row[]> {
  const [server, generator] = [await context.server({ auth: "jwt" }), context.generator()];
  const { chats } = await interleave(context, {
    chats: async (round) => {
      const before = await server.cpuSeconds();
      const report = await generator.run({
        kind: "chat",
        target: server.target,
        sessions: { prefix: `chat${round}-`, count: CHATS },
        chunksPerSecond: CHUNKS_PER_SECOND,
        batchMs: BATCH_MS,
        warmUpSeconds: 1,
        seconds: context.options.seconds,
      });
      return { ...report, cpu: ((await server.cpuSeconds()) - before) / report.seconds };
    },
  });
  const seen = (which: "p50" | "p99" | "p999"): number[] => chats.map((one) => one.seen[which]);
  const late = `${CHATS} sessions × ${CHUNKS_PER_SECOND} tokens/s; the recorder collects them for up to ${BATCH_MS} ms`;
  const rates = chats.map(({ tokens, seconds }) => tokens / seconds);
  return [
    {
      name: "tokens recorded and read",
      value: median(rates),
      unit: "tokens/s",
      note: notes(spread(rates), busyNote(chats)),
    },
    {
      name: "  as events",
      value: median(chats.map(({ events, seconds }) => events / seconds)),
      unit: "events/s",
    },
    { name: "token made → seen by a reader, p50", value: median(seen("p50")), unit: "ms", note: late },
    { name: "  p99", value: median(seen("p99")), unit: "ms", note: spread(seen("p99")) },
    { name: "  p99.9", value: median(seen("p999")), unit: "ms", note: spread(seen("p999")) },
    { name: "server CPU", value: median(chats.map(({ cpu }) => cpu * 100)), unit: "% of a core" },
  ];
}
