import { LIMITS } from "@daybook/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forgetPairs, type ProducerWindow, rememberPair, seqOfPair } from "./producer-window.js";

/** What a window must answer: a plain map from the producer's numbers to seqs, the oldest gone beyond the limit. */
class PlainWindow {
  readonly seqs = new Map<number, number>();

  remember(producerSeq: number, seq: number): void {
    this.seqs.set(producerSeq, seq);
    if (this.seqs.size > LIMITS.producerPairsMax) this.seqs.delete(producerSeq - LIMITS.producerPairsMax);
  }
}

function remembered(first: number, steps: readonly number[]): { window: ProducerWindow; plain: PlainWindow } {
  const plain = new PlainWindow();
  let window: ProducerWindow | undefined;
  let seq = 0;
  let producerSeq = first;
  for (const step of steps) {
    seq += step;
    window = rememberPair(window, producerSeq, seq);
    plain.remember(producerSeq++, seq);
  }
  return { window: window as ProducerWindow, plain };
}

function expectSame({ window, plain }: { window: ProducerWindow; plain: PlainWindow }): void {
  expect(window.count).toBe(plain.seqs.size);
  expect(window.lastSeq).toBe([...plain.seqs.values()].at(-1));
  for (const [producerSeq, seq] of plain.seqs) expect(seqOfPair(window, producerSeq)).toBe(seq);
  const numbers = [...plain.seqs.keys()];
  expect(seqOfPair(window, Math.min(...numbers) - 1)).toBeUndefined();
  expect(seqOfPair(window, Math.max(...numbers) + 1)).toBeUndefined();
}

const firsts = fc.integer({ min: 1, max: 1_000_000 });

describe("a producer's window", () => {
  it("answers as a plain map does, whatever others write in between", () => {
    const steps = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 300 });
    fc.assert(fc.property(firsts, steps, (first, gaps) => expectSame(remembered(first, gaps))));
  });

  it("forgets its oldest pairs beyond the limit, and only those", () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 700 })), {
      minLength: 3,
      maxLength: 6,
    });
    fc.assert(
      fc.property(firsts, runs, (first, lengths) => {
        expectSame(
          remembered(
            first,
            lengths.flatMap(([step, count]) => Array<number>(count).fill(step)),
          ),
        );
      }),
      { numRuns: 40 },
    );
  });

  it("remembers exactly 1,024 pairs", () => {
    const { window } = remembered(1, Array<number>(LIMITS.producerPairsMax).fill(1));
    expect(seqOfPair(window, 1)).toBe(1);
    const next = rememberPair(window, LIMITS.producerPairsMax + 1, LIMITS.producerPairsMax + 1);
    expect(seqOfPair(next, 1)).toBeUndefined();
    expect(seqOfPair(next, 2)).toBe(2);
  });

  it("is one run for a lone writer and for two that take turns, however long they write", () => {
    for (const step of [1, 2, 7]) {
      expect(remembered(1, Array<number>(3_000).fill(step)).window.runs).toHaveLength(3);
    }
  });

  it("keeps how far the producer came when its pairs are forgotten", () => {
    const { window } = remembered(5, [1, 1, 1]);
    const forgotten = forgetPairs(window);
    expect(forgotten).toMatchObject({ last: 7, lastSeq: 3, count: 0 });
    expect([5, 6, 7, 8].map((seq) => seqOfPair(forgotten, seq))).toEqual(Array(4).fill(undefined));
    const again = rememberPair(forgotten, 8, 40);
    expect([7, 8, 9].map((seq) => seqOfPair(again, seq))).toEqual([undefined, 40, undefined]);
  });

  it("is a value: remembering makes a new one", () => {
    const { window } = remembered(1, [1, 2, 3]);
    const before = { ...window, runs: [...window.runs] };
    rememberPair(window, 4, 20);
    expect(window).toEqual(before);
  });
});
