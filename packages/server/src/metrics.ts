import { DaybookError } from "@daybook/protocol";
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Sources that are read when somebody looks. */
export interface MetricSources {
  viewLagBytes(): number;
  queueBytes(): number;
  openLogs(): number;
  erasuresPending(): number;
  openTransactions(): number;
  stagedBytes(): number;
}

const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

/** What the server counts. Labels never hold ids or tenants: who may scrape must not learn who is served. */
export class Metrics {
  readonly registry = new Registry();
  readonly appends = this.counter("daybook_appends_total", "Append calls that were answered, by result.", [
    "result",
  ]);
  readonly events = this.counter("daybook_events_total", "Events that became durable.");
  readonly bytes = this.counter("daybook_log_bytes_total", "Bytes written to the log.");
  readonly batchCommits = this.histogram(
    "daybook_batch_commits",
    "Commits in one synced batch.",
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
  );
  readonly syncSeconds = this.histogram("daybook_sync_seconds", "Write and fdatasync of one batch.", SECONDS);
  readonly appendSeconds = this.histogram(
    "daybook_append_seconds",
    "An append from request to answer.",
    SECONDS,
  );
  readonly viewWriteSeconds = this.histogram(
    "daybook_view_write_seconds",
    "One transaction of the views.",
    SECONDS,
  );
  readonly openTails = new Gauge({
    name: "daybook_open_tails",
    help: "Tails being followed, by kind.",
    labelNames: ["kind"],
    registers: [this.registry],
  });
  readonly tailEvents = this.counter("daybook_tail_events_total", "Events sent to tails, replayed or live.", [
    "phase",
  ]);
  readonly commits = this.counter(
    "daybook_state_commits_total",
    "Transactions on agents' state that were answered, by result.",
    ["result"],
  );
  readonly rpcs = this.counter("daybook_rpcs_total", "Calls of the state service, by rpc and result.", [
    "rpc",
    "result",
  ]);
  readonly requests = this.counter("daybook_http_requests_total", "Answered requests, by status.", [
    "status",
  ]);

  constructor(sources: MetricSources) {
    collectDefaultMetrics({ register: this.registry });
    this.gauge("daybook_view_lag_bytes", "Log bytes that the views do not stand past.", () =>
      sources.viewLagBytes(),
    );
    this.gauge("daybook_queue_bytes", "Bytes that wait for the disk.", () => sources.queueBytes());
    this.gauge("daybook_open_logs", "Logs in memory.", () => sources.openLogs());
    this.gauge("daybook_erasures_pending", "Deleted sessions whose bytes are still being erased.", () =>
      sources.erasuresPending(),
    );
    this.gauge("daybook_open_transactions", "State transactions begun and not yet ended.", () =>
      sources.openTransactions(),
    );
    this.gauge("daybook_staged_bytes", "Memory that open state transactions hold.", () =>
      sources.stagedBytes(),
    );
  }

  /** Counts an append by its result, and times it. */
  async measureAppend<Result>(run: () => Promise<Result>): Promise<Result> {
    const startedAt = performance.now();
    try {
      const result = await run();
      this.appends.inc({ result: "ok" });
      return result;
    } catch (error) {
      this.appends.inc({ result: error instanceof DaybookError ? error.code : "internal_error" });
      throw error;
    } finally {
      this.appendSeconds.observe((performance.now() - startedAt) / 1000);
    }
  }

  private counter<Label extends string = never>(
    name: string,
    help: string,
    labelNames: Label[] = [],
  ): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  private histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.registry] });
  }

  private gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }
}
