import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Client, credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { BusyClock } from "./load-busy.js";
import { Histogram } from "./load-histogram.js";
import type { GrpcTask, RequestsReport } from "./load-task.js";

const PROTO = fileURLToPath(
  new URL("../../packages/server/proto/statehouse/v1/statehouse.proto", import.meta.url),
);
const CHANNELS = 4;

type Rpc = (request: object, done: (error: ServiceError | null, answer: { txnId: string }) => void) => void;
type StateClient = Client & Record<"BeginTransaction" | "Write" | "Commit", Rpc>;

/** Transactions of one write each, by the client of another house. */
export async function runGrpc(task: GrpcTask): Promise<RequestsReport> {
  const clients = Array.from({ length: CHANNELS }, (_, channel) => newClient(task.address, channel));
  const latency = new Histogram();
  let [done, refused] = [0, 0];
  const startedAt = performance.now();
  const measureFrom = startedAt + task.warmUpSeconds * 1000;
  const measureTo = measureFrom + task.seconds * 1000;
  const worker = async (index: number): Promise<void> => {
    const client = clients[index % CHANNELS] as StateClient;
    for (let turn = 0; performance.now() < measureTo; turn++) {
      const began = performance.now();
      try {
        const { txnId } = await call(client, "BeginTransaction", {});
        const value = { fields: { text: { stringValue: "x".repeat(300) } } };
        const key = `note/${turn % 100}`;
        await call(client, "Write", { txnId, namespace: "bench", agentId: `grpc-${index}`, key, value });
        await call(client, "Commit", { txnId });
      } catch {
        refused++;
      }
      const now = performance.now();
      if (now < measureFrom || now >= measureTo) continue;
      done++;
      latency.recordMs(now - began);
    }
  };
  const workers = Promise.all(Array.from({ length: task.atOnce }, (_, index) => worker(index)));
  await sleep(task.warmUpSeconds * 1000);
  const busy = new BusyClock();
  await sleep(task.seconds * 1000);
  const share = busy.share();
  await workers;
  for (const client of clients) client.close();
  return { requests: done, seconds: task.seconds, refused, latency: latency.percentiles(), busy: share };
}

function newClient(address: string, channel: number): StateClient {
  const { statehouse } = loadPackageDefinition(loadSync(PROTO)) as unknown as {
    statehouse: { v1: { StatehouseService: new (...options: unknown[]) => StateClient } };
  };
  // An option of its own keeps a channel from sharing another's connection.
  return new statehouse.v1.StatehouseService(address, credentials.createInsecure(), {
    "bench.channel": channel,
  });
}

function call(
  client: StateClient,
  rpc: "BeginTransaction" | "Write" | "Commit",
  request: object,
): Promise<{ txnId: string }> {
  return new Promise((resolve, reject) => {
    client[rpc](request, (error, answer) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}
