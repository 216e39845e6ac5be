import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { BusyClock } from "./load-busy.js";
import { HttpConnection } from "./load-connection.js";
import { Histogram } from "./load-histogram.js";
import { dialectOf } from "./load-dialect.js";
import type { TailConnection } from "./load-tail.js";
import { AppendRequest } from "./load-request.js";
import { type AppendReport, type AppendTask, sessionId } from "./load-task.js";

/** How long what is still unanswered, or unseen, at the end may take. */
const DRAIN_MS_MAX = 15_000;

/** One request at a time. */
interface Connection {
  send(request: Buffer, answered: (status: number) => void): void;
  close(): void;
}

/** One connection and the sessions that only it appends to. */
interface Lane {
  readonly connection: Connection;
  readonly request: AppendRequest;
  readonly sessions: readonly number[];
  turn: number;
}

let producers = 0;

export async function runAppends(task: AppendTask): Promise<AppendReport> {
  const lanes = await openLanes(task);
  const load = new AppendLoad(task, lanes);
  const tails = task.follow === true ? await openFollowers(task, load) : [];
  try {
    return await load.run();
  } finally {
    for (const { connection } of lanes) connection.close();
    for (const tail of tails) tail.close();
  }
}

/** A producer of its own for every connection of every task: nothing is ever a retry. */
export function newProducer(): string {
  return `bench-${String(process.pid)}-${++producers}`;
}

function openLanes(task: AppendTask): Promise<Lane[]> {
  const { target, sessions, connections, eventsPerRequest, eventBytes, overSocket } = task;
  return Promise.all(
    Array.from({ length: connections }, async (_, lane) => ({
      connection: await openConnection(task, lane),
      request: new AppendRequest({
        target,
        sessions,
        producer: newProducer(),
        events: eventsPerRequest,
        eventBytes,
        overSocket,
      }),
      sessions: ownSessions(lane, task),
      turn: 0,
    })),
  );
}

function openConnection(
  { target, sessions, connections, overSocket }: AppendTask,
  lane: number,
): Promise<Connection> {
  if (overSocket !== true) return HttpConnection.open(target);
  if (sessions.count !== connections) throw new Error("a socket is joined to one session");
  const opening = dialectOf(target).openChannel?.(target, sessionId(sessions, lane));
  if (opening === undefined) throw new Error("its protocol has no socket that takes appends");
  return opening;
}

function ownSessions(lane: number, { sessions, connections }: AppendTask): number[] {
  const own: number[] = [];
  for (let session = lane % sessions.count; session < sessions.count; session += connections)
    own.push(session);
  return own;
}

function openFollowers(
  { target, sessions, eventsPerRequest }: AppendTask,
  load: AppendLoad,
): Promise<TailConnection[]> {
  if (eventsPerRequest !== 1) throw new Error("only single events are timed until they are seen");
  return Promise.all(
    Array.from({ length: sessions.count }, (_, session) =>
      dialectOf(target).openTail(target, {
        id: sessionId(sessions, session),
        onFrame: () => load.sawEvent(session),
      }),
    ),
  );
}

class AppendLoad {
  private readonly latency = new Histogram();
  private readonly seen = new Histogram();
  /** When the appends that are not yet seen were due, by session. */
  private readonly unseen = new Map<number, number[]>();
  private readonly idle: Lane[];
  /** Due times of what no connection was free for. */
  private readonly backlog: number[] = [];
  private measureFrom = 0;
  private measureTo = 0;
  private sending = true;
  private inFlight = 0;
  private requests = 0;
  private requestsInAll = 0;
  private refused = 0;

  constructor(
    private readonly task: AppendTask,
    lanes: readonly Lane[],
  ) {
    this.idle = [...lanes];
  }

  async run(): Promise<AppendReport> {
    const { warmUpSeconds, seconds, requestsPerSecond, eventsPerRequest } = this.task;
    const startedAt = performance.now();
    this.measureFrom = startedAt + warmUpSeconds * 1000;
    this.measureTo = this.measureFrom + seconds * 1000;
    const pacing =
      requestsPerSecond === undefined ? this.startAll() : this.pace(startedAt, 1000 / requestsPerSecond);
    await sleep(warmUpSeconds * 1000);
    const busy = new BusyClock();
    await sleep(seconds * 1000);
    const share = busy.share();
    await pacing;
    this.sending = false;
    await this.drained();
    return {
      requests: this.requests,
      events: this.requests * eventsPerRequest,
      eventsInAll: this.requestsInAll * eventsPerRequest,
      seconds,
      refused: this.refused,
      latency: this.latency.percentiles(),
      seen: this.seen.percentiles(),
      busy: share,
    };
  }

  sawEvent(session: number): void {
    const dueAt = this.unseen.get(session)?.shift();
    if (dueAt !== undefined && this.isMeasured(dueAt)) this.seen.recordMs(performance.now() - dueAt);
  }

  private isMeasured(dueAt: number): boolean {
    return dueAt >= this.measureFrom && dueAt < this.measureTo;
  }

  /** Closed loop: every connection has one request in flight, always. */
  private async startAll(): Promise<void> {
    const now = performance.now();
    for (const lane of this.idle.splice(0)) this.send(lane, now);
    await Promise.resolve();
  }

  /** Open loop: requests fall due on a grid of time. Timers are a millisecond coarse, and that counts as waiting. */
  private async pace(startedAt: number, everyMs: number): Promise<void> {
    for (let due = 0; ;) {
      const now = performance.now();
      for (let at = startedAt + due * everyMs; at <= now; at = startedAt + ++due * everyMs) {
        if (at >= this.measureTo) return;
        const lane = this.idle.shift();
        if (lane === undefined) this.backlog.push(at);
        else this.send(lane, at);
      }
      await sleep(1);
    }
  }

  private send(lane: Lane, dueAt: number): void {
    const { connection, request, sessions } = lane;
    const session = sessions[lane.turn % sessions.length] ?? 0;
    const nth = Math.floor(lane.turn++ / sessions.length);
    if (this.task.follow === true) this.rememberUnseen(session, dueAt);
    this.inFlight++;
    connection.send(request.fill(session, nth), (status) => {
      this.inFlight--;
      this.count(request.isStored(status), dueAt);
      this.goOn(lane);
    });
  }

  private rememberUnseen(session: number, dueAt: number): void {
    const waiting = this.unseen.get(session);
    if (waiting === undefined) this.unseen.set(session, [dueAt]);
    else waiting.push(dueAt);
  }

  private count(isStored: boolean, dueAt: number): void {
    const now = performance.now();
    if (isStored) this.requestsInAll++;
    else this.refused++;
    // Open loop: everything that fell due in the time counts, whenever it was answered.
    if (this.isMeasured(dueAt)) this.latency.recordMs(now - dueAt);
    if (isStored && this.isMeasured(now)) this.requests++;
  }

  private goOn(lane: Lane): void {
    const late = this.backlog.shift();
    if (late !== undefined) this.send(lane, late);
    else if (this.task.requestsPerSecond !== undefined) this.idle.push(lane);
    else if (this.sending) this.send(lane, performance.now());
  }

  private async drained(): Promise<void> {
    const deadline = performance.now() + DRAIN_MS_MAX;
    while (this.inFlight > 0 || this.backlog.length > 0 || this.isUnseen()) {
      if (performance.now() > deadline)
        throw new Error(`${this.inFlight} appends were never answered or seen`);
      await sleep(5);
    }
  }

  private isUnseen(): boolean {
    return [...this.unseen.values()].some((waiting) => waiting.length > 0);
  }
}
