import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { appendSeq, countSeqs, countSeqsUpTo, dropFirstSeq, seqAt, takesSeq } from "./seq-runs.js";

/** Ascending seqs, often in equal steps. */
const seqs = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 6 })), { maxLength: 30 })
  .map((stretches) => {
    const list: number[] = [];
    for (const [step, count] of stretches)
      for (let index = 0; index < count; index++) list.push((list.at(-1) ?? 0) + step);
    return list;
  });

function runsOf(list: readonly number[]): number[] {
  const runs: number[] = [];
  for (const seq of list) appendSeq(runs, seq);
  return runs;
}

describe("runs of seqs", () => {
  it("say what a plain list says", () => {
    fc.assert(
      fc.property(seqs, fc.nat(200), (list, at) => {
        const runs = runsOf(list);
        expect(countSeqs(runs)).toBe(list.length);
        expect(seqAt(runs, at)).toBe(list[at]);
        expect(countSeqsUpTo(runs, at)).toBe(list.filter((seq) => seq <= at).length);
      }),
    );
  });

  it("drop the first ones as a plain list does", () => {
    fc.assert(
      fc.property(seqs, fc.nat(40), (list, count) => {
        const runs = runsOf(list);
        for (let index = 0; index < Math.min(count, list.length); index++) dropFirstSeq(runs);
        const left = list.slice(count);
        expect(left.map((_seq, index) => seqAt(runs, index))).toEqual(left);
        expect(countSeqs(runs)).toBe(left.length);
      }),
    );
  });

  it("say beforehand whether one more needs another run", () => {
    fc.assert(
      fc.property(seqs, fc.integer({ min: 1, max: 9 }), (list, step) => {
        const runs = runsOf(list);
        const [before, next] = [runs.length, (list.at(-1) ?? 0) + step];
        const takes = takesSeq(runs, next);
        appendSeq(runs, next);
        expect(runs.length).toBe(takes ? before : before + 3);
      }),
    );
  });

  it("are one for equal steps, however many they are", () => {
    expect(runsOf(Array.from({ length: 100_000 }, (_, index) => 7 + index * 3))).toEqual([7, 3, 100_000]);
  });
});
