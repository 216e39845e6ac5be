import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { newProducer } from "./load-append.js";
import { BusyClock } from "./load-busy.js";
import { HttpConnection } from "./load-connection.js";
import { dialectOf } from "./load-dialect.js";
import type { TailConnection } from "./load-tail.js";
import { AppendRequest } from "./load-request.js";
import {
  type FanOutReport,
  type FanOutTask,
  type OpenTailsTask,
  type ReplayTask,
  sessionId,
} from "./load-task.js";

/** Upgrades in flight at once, well below what a server's backlog takes. */
const OPENING_MAX = 100;
const REPLAY_MS_MAX = 60_000;
const LOOK_MS = 1;

/** Many followers in one process. */
export class TailCrowd {
  private tails: TailConnection[] = [];
  private frames = 0;

  async open({ target, sessions, tails, reading }: OpenTailsTask): Promise<{ readonly open: number }> {
    let next = 0;
    const opener = async (): Promise<void> => {
      while (next < tails) {
        const id = sessionId(sessions, next++ % sessions.count);
        this.tails.push(
          await dialectOf(target).openTail(target, { id, reading, onFrame: () => this.frames++ }),
        );
      }
    };
    await Promise.all(Array.from({ length: OPENING_MAX }, opener));
    return { open: this.tails.length };
  }

  close(): { readonly frames: number } {
    for (const tail of this.tails.splice(0)) tail.close();
    const { frames } = this;
    this.frames = 0;
    return { frames };
  }

  /** Publishes to a session that all tails follow, and counts what they get. */
  async fanOut(task: FanOutTask): Promise<FanOutReport> {
    const { target, sessions, eventsPerRequest, eventBytes, warmUpSeconds, seconds } = task;
    const shape = { target, sessions, events: eventsPerRequest, eventBytes };
    const publishers = await Promise.all(
      Array.from({ length: task.publishers }, async () => {
        const request = new AppendRequest({ ...shape, producer: newProducer() });
        return new Publisher(await HttpConnection.open(target), request);
      }),
    );
    const before = this.frames;
    const published = (): number => publishers.reduce((total, one) => total + one.published, 0);
    const behind = (): number => published() - (this.frames - before) / this.tails.length;
    const publishing = publishers.map((one) =>
      one.run(eventsPerRequest, () => behind() < task.eventsAheadMax),
    );
    await sleep(warmUpSeconds * 1000);
    const [busy, startedAt] = [new BusyClock(), performance.now()];
    const [framesAtStart, publishedAtStart] = [this.frames, published()];
    await sleep(seconds * 1000);
    const elapsed = (performance.now() - startedAt) / 1000;
    const report = {
      deliveries: this.frames - framesAtStart,
      published: published() - publishedAtStart,
      seconds: elapsed,
      busy: busy.share(),
    };
    for (const one of publishers) one.stop();
    await Promise.all(publishing);
    return report;
  }
}

class Publisher {
  published = 0;
  private stopping = false;

  constructor(
    private readonly connection: HttpConnection,
    private readonly request: AppendRequest,
  ) {}

  async run(events: number, mayPublish: () => boolean): Promise<void> {
    for (let nth = 0; !this.stopping;) {
      if (!mayPublish()) {
        await sleep(LOOK_MS);
        continue;
      }
      const bytes = this.request.fill(0, nth++);
      const status = await new Promise<number>((resolve) => this.connection.send(bytes, resolve));
      if (!this.request.isStored(status)) throw new Error(`an append was answered with ${status}`);
      this.published += events;
    }
    this.connection.close();
  }

  stop(): void {
    this.stopping = true;
  }
}

/** Reads a whole session over one tail. */
export async function replay({ target, sessions, events }: ReplayTask): Promise<{ readonly ms: number }> {
  const startedAt = performance.now();
  let frames = 0;
  let allSeen: (() => void) | undefined;
  const seen = new Promise<void>((resolve) => (allSeen = resolve));
  const tail = await dialectOf(target).openTail(target, {
    id: sessionId(sessions, 0),
    onFrame: () => {
      if (++frames === events) allSeen?.();
    },
  });
  const giveUp = new AbortController();
  await Promise.race([seen, sleep(REPLAY_MS_MAX, undefined, { signal: giveUp.signal })]);
  giveUp.abort();
  tail.close();
  if (frames < events) throw new Error(`a replay brought ${frames} of ${events} events`);
  return { ms: performance.now() - startedAt };
}
