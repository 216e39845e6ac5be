import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { BusyClock } from "./load-busy.js";
import { HttpConnection, postRequest, requestHead } from "./load-connection.js";
import { Histogram } from "./load-histogram.js";
import type { RequestsReport, RequestsTask } from "./load-task.js";

/** Stands for a number that is another one in each request. */
export const COUNTER = "0000000000";

/** The same request again and again on every connection, each as soon as the last one was answered. */
export async function runRequests(task: RequestsTask): Promise<RequestsReport> {
  const connections = await Promise.all(
    Array.from({ length: task.connections }, () => HttpConnection.open(task.target)),
  );
  const latency = new Histogram();
  let [count, done, refused, sending] = [task.firstCount, 0, 0, true];
  const startedAt = performance.now();
  const measureFrom = startedAt + task.warmUpSeconds * 1000;
  const measureTo = measureFrom + task.seconds * 1000;
  const goOn = (connection: HttpConnection, bytes: Buffer, counterAt: number): void => {
    if (counterAt >= 0) bytes.write(String(count++ % task.counts).padStart(COUNTER.length, "0"), counterAt);
    const sentAt = performance.now();
    connection.send(bytes, (status) => {
      const now = performance.now();
      if (status !== task.status) refused++;
      else if (now >= measureFrom && now < measureTo) {
        done++;
        latency.recordMs(now - sentAt);
      }
      if (sending) goOn(connection, bytes, counterAt);
    });
  };
  for (const connection of connections) {
    const bytes = requestBytes(task);
    goOn(connection, bytes, bytes.indexOf(COUNTER));
  }
  await sleep(task.warmUpSeconds * 1000);
  const busy = new BusyClock();
  await sleep(task.seconds * 1000);
  const share = busy.share();
  sending = false;
  for (const connection of connections) connection.close();
  return { requests: done, seconds: task.seconds, refused, latency: latency.percentiles(), busy: share };
}

function requestBytes({ target, method, path, body }: RequestsTask): Buffer {
  return body === undefined
    ? Buffer.from(`${requestHead(target, `${method} ${path}`)}\r\n`)
    : postRequest(target, path, body);
}
