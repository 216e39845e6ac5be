import { Histogram } from "./load-histogram.js";

export interface Load {
  readonly done: number;
  readonly seconds: number;
  readonly latency: Histogram;
}

/** A fixed number at work all the time: each begins anew as soon as it is answered. */
export async function closedLoop(
  inFlight: number,
  seconds: number,
  work: () => Promise<unknown>,
): Promise<Load> {
  const latency = new Histogram();
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1000;
  let done = 0;
  const worker = async (): Promise<void> => {
    for (let began = performance.now(); began < endsAt; began = performance.now()) {
      await work();
      done++;
      latency.recordMs(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { done, seconds: (performance.now() - startedAt) / 1000, latency };
}

/**
 * A fixed rate, however slow the answers are. Times count from when each was due, so a stall is felt by all that came
 * due in it; the timer's own millisecond is part of them.
 */
export async function openLoop(
  perSecond: number,
  isOver: () => boolean,
  work: () => Promise<unknown>,
): Promise<Load> {
  const latency = new Histogram();
  const startedAt = performance.now();
  const pending = new Set<Promise<void>>();
  let sent = 0;
  while (!isOver()) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * perSecond);
    for (; sent < due; sent++) {
      const dueAt = startedAt + (sent / perSecond) * 1000;
      const one: Promise<void> = work().then(() => {
        latency.recordMs(performance.now() - dueAt);
        pending.delete(one);
      });
      pending.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  return { done: sent, seconds: (performance.now() - startedAt) / 1000, latency };
}
