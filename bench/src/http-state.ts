import { busyNote, type HttpContext, interleave, measureAppends, notes, ratios } from "./http-context.js";
import { COUNTER } from "./load-requests.js";
import type { RequestsReport, RequestsTask } from "./load-task.js";
import { judged, median, type Row, spread } from "./row.js";

const SESSIONS = 2_000;
const AGENTS = 2_000;
const CONNECTIONS = 64;
const WARM_UP_SECONDS = 1;
/** With it a transaction's body is about as long as an event's. */
const VALUE = JSON.stringify({ text: "x".repeat(300) });
const TRANSACTION = `{"operations":[{"namespace":"bench","agent_id":"a${COUNTER}","key":"note","value":${VALUE}}]}`;

/** Agents' state beside single appends to sessions, on one server. */
export async function agentState(context: HttpContext): Promise<Row[]> {
  const generator = context.generator();
  const server = await context.server();
  const sessions = { prefix: "beside-", count: SESSIONS };
  await generator.run({ kind: "create", target: server.target, sessions });
  const requests = async (
    request: Pick<RequestsTask, "method" | "path" | "body" | "status">,
  ): Promise<RequestsReport> => {
    const report = await generator.run({
      kind: "requests",
      target: server.target,
      firstCount: 0,
      counts: AGENTS,
      connections: CONNECTIONS,
      warmUpSeconds: WARM_UP_SECONDS,
      seconds: context.options.seconds,
      ...request,
    });
    if (report.refused > 0) throw new Error(`${report.refused} of ${request.path} were refused`);
    return report;
  };
  const results = await interleave(context, {
    appends: async () => {
      const { eventsPerSecond, busy } = await measureAppends(context, server, generator, { sessions });
      return { rate: eventsPerSecond, busy };
    },
    transactions: async () =>
      rateOf(
        await requests({ method: "POST", path: "/v1/state/transactions", body: TRANSACTION, status: 201 }),
      ),
    gets: async () =>
      rateOf(await requests({ method: "GET", path: `/v1/state/bench/a${COUNTER}/note`, status: 200 })),
    grpc: async () =>
      rateOf(
        await generator.run({
          kind: "grpc",
          address: server.grpcAddress,
          atOnce: CONNECTIONS,
          warmUpSeconds: WARM_UP_SECONDS,
          seconds: context.options.seconds,
        }),
      ),
  });
  return rowsOf(results);
}

type Name = "appends" | "transactions" | "gets" | "grpc";

function rowsOf(results: Readonly<Record<Name, readonly { rate: number; busy: number }[]>>): Row[] {
  const rates = (name: Name): number[] => results[name].map(({ rate }) => rate);
  const row = (name: string, of: Name, unit: string): Row => ({
    name,
    value: median(rates(of)),
    unit,
    note: notes(spread(rates(of)), busyNote(results[of])),
  });
  const toAppends = ratios(rates("transactions"), rates("appends"));
  return [
    row("POST one event, 64 connections", "appends", "events/s"),
    row("POST /v1/state/transactions, one write, 64 connections", "transactions", "commits/s"),
    judged(
      { name: "  transaction : append", value: median(toAppends), unit: "ratio", note: spread(toAppends) },
      { atLeast: 0.7 },
    ),
    row("transactions by gRPC (three calls each), 64 at once", "grpc", "commits/s"),
    judged(row("GET /v1/state/:namespace/:agent/:key, 64 connections", "gets", "answers/s"), {
      atLeast: 15_000,
    }),
  ];
}

function rateOf({ requests, seconds, busy }: RequestsReport): { rate: number; busy: number } {
  return { rate: requests / seconds, busy };
}
