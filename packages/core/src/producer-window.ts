import { LIMITS } from "@daybook/protocol";
import { appendSeq, dropFirstSeq, seqAt, type SeqRuns } from "./seq-runs.js";

/**
 * What a log remembers of one producer: which of its last numbers became which seq. A producer's numbers are contiguous,
 * so only the seqs are kept.
 */
export interface ProducerWindow {
  /** The producer's last number. Kept for ever, so that what is older than the window is never appended again. */
  readonly last: number;
  /** The seq that number became. */
  readonly lastSeq: number;
  /** How many pairs are remembered. */
  readonly count: number;
  readonly runs: SeqRuns;
}

/** The seq that a pair became, if it is remembered. */
export function seqOfPair(window: ProducerWindow, producerSeq: number): number | undefined {
  const index = producerSeq - (window.last - window.count + 1);
  return index < 0 || producerSeq > window.last ? undefined : seqAt(window.runs, index);
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
  appendSeq(window.runs, seq);
  if (window.count <= LIMITS.producerPairsMax) return;
  dropFirstSeq(window.runs);
  window.count--;
}

/** The window of a producer whose pairs had to go: it only knows how far the producer had come. */
export function forgetPairs(window: ProducerWindow): ProducerWindow {
  return { last: window.last, lastSeq: window.lastSeq, count: 0, runs: [] };
}
