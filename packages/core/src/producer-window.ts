import { LIMITS } from "@daybook/protocol";

/**
 * What a log remembers of one producer: which of its last numbers became which seq.
 *
 * A producer's numbers are contiguous, so only the seqs are kept, as runs of equal steps:
 *
 *     runs: [first seq, step, count,  first seq, step, count, …]
 *
 * A lone writer is one run however long it writes; two that alternate are one run each.
 */
export interface ProducerWindow {
  /** The producer's last number. Kept for ever, so that what is older than the window is never appended again. */
  readonly last: number;
  /** The seq that number became. */
  readonly lastSeq: number;
  /** How many pairs are remembered. */
  readonly count: number;
  readonly runs: readonly number[];
}

/** The seq that a pair became, if it is remembered. */
export function seqOfPair(window: ProducerWindow, producerSeq: number): number | undefined {
  let index = producerSeq - (window.last - window.count + 1);
  if (index < 0 || producerSeq > window.last) return undefined;
  const { runs } = window;
  for (let at = 0; at < runs.length; at += 3) {
    const count = runs[at + 2] as number;
    if (index < count) return (runs[at] as number) + index * (runs[at + 1] as number);
    index -= count;
  }
  return undefined;
}

/** The window after one more pair. Drops its oldest pair beyond the limit. */
export function rememberPair(
  window: ProducerWindow | undefined,
  producerSeq: number,
  seq: number,
): ProducerWindow {
  const own = ownWindow(window);
  addPair(own, producerSeq, seq);
  return own;
}

/** A window that nobody else holds: it may change. */
export interface OwnWindow extends ProducerWindow {
  last: number;
  lastSeq: number;
  count: number;
  readonly runs: number[];
}

/** A copy of a window, or an empty one. */
export function ownWindow(window: ProducerWindow | undefined): OwnWindow {
  if (window === undefined) return { last: 0, lastSeq: 0, count: 0, runs: [] };
  const { last, lastSeq, count, runs } = window;
  return { last, lastSeq, count, runs: [...runs] };
}

/** Adds a pair in place: copying a long window for each event would cost more than the event. */
export function addPair(window: OwnWindow, producerSeq: number, seq: number): void {
  window.last = producerSeq;
  window.lastSeq = seq;
  window.count++;
  appendToRuns(window.runs, seq);
  if (window.count <= LIMITS.producerPairsMax) return;
  dropOldest(window.runs);
  window.count--;
}

/** The window of a producer whose pairs had to go: it only knows how far the producer had come. */
export function forgetPairs(window: ProducerWindow): ProducerWindow {
  return { last: window.last, lastSeq: window.lastSeq, count: 0, runs: [] };
}

function appendToRuns(runs: number[], seq: number): void {
  const at = runs.length - 3;
  if (at < 0) {
    runs.push(seq, 0, 1);
    return;
  }
  const first = runs[at] as number;
  const count = runs[at + 2] as number;
  if (count === 1) runs[at + 1] = seq - first;
  if (seq === first + (runs[at + 1] as number) * count) runs[at + 2] = count + 1;
  else runs.push(seq, 0, 1);
}

function dropOldest(runs: number[]): void {
  if (runs[2] === 1) {
    runs.splice(0, 3);
    return;
  }
  runs[0] = (runs[0] as number) + (runs[1] as number);
  runs[2] = (runs[2] as number) - 1;
}
