/**
 * Ascending seqs, kept as runs of equal steps:
 *
 *     [first seq, step, count,  first seq, step, count, …]
 *
 * What comes one after the other is one run however long it gets; two that alternate are one run each.
 */
export type SeqRuns = readonly number[];

/** Adds a seq, higher than all before it. */
export function appendSeq(runs: number[], seq: number): void {
  const at = runs.length - 3;
  if (!takesSeq(runs, seq)) {
    runs.push(seq, 0, 1);
    return;
  }
  if (runs[at + 2] === 1) runs[at + 1] = seq - (runs[at] as number);
  runs[at + 2] = (runs[at + 2] as number) + 1;
}

/** Can this seq be added without a run more? */
export function takesSeq(runs: SeqRuns, seq: number): boolean {
  const at = runs.length - 3;
  if (at < 0) return false;
  const count = runs[at + 2] as number;
  return count === 1 || seq === (runs[at] as number) + (runs[at + 1] as number) * count;
}

/** Takes away the first one. */
export function dropFirstSeq(runs: number[]): void {
  if (runs[2] === 1) {
    runs.splice(0, 3);
    return;
  }
  runs[0] = (runs[0] as number) + (runs[1] as number);
  runs[2] = (runs[2] as number) - 1;
}

/** The seq at a place, from 0. */
export function seqAt(runs: SeqRuns, index: number): number | undefined {
  for (let at = 0; at < runs.length; at += 3) {
    const count = runs[at + 2] as number;
    if (index < count) return (runs[at] as number) + index * (runs[at + 1] as number);
    index -= count;
  }
  return undefined;
}

export function countSeqs(runs: SeqRuns): number {
  let count = 0;
  for (let at = 2; at < runs.length; at += 3) count += runs[at] as number;
  return count;
}

/** How many are not higher than this one. */
export function countSeqsUpTo(runs: SeqRuns, seq: number): number {
  let counted = 0;
  for (let at = 0; at < runs.length && (runs[at] as number) <= seq; at += 3) {
    const [first = 0, step = 0, count = 0] = [runs[at], runs[at + 1], runs[at + 2]];
    counted += count === 1 ? 1 : Math.min(count, Math.floor((seq - first) / step) + 1);
  }
  return counted;
}
