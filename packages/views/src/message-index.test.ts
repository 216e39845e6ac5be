import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type MessageChunk, MessageIndex, type MessageRecords } from "./message-index.js";

/** Views in a plain map. */
class PlainRecords implements MessageRecords {
  readonly chunks = new Map<number, readonly number[]>();

  messageChunk(_log: number, ordinal: number): MessageChunk | undefined {
    const found = Math.max(...[...this.chunks.keys()].filter((first) => first <= ordinal));
    const runs = this.chunks.get(found);
    return runs === undefined ? undefined : { ordinal: found, runs };
  }
}

/** An index, written to the views and taken up again from them now and then. */
class Subject {
  readonly records = new PlainRecords();
  index = new MessageIndex(1, this.records);

  flush(): MessageChunk {
    const { open, finished } = this.index.take();
    for (const { ordinal, runs } of finished) this.records.chunks.set(ordinal, runs);
    this.index.release(finished.length);
    return { ordinal: open.ordinal, runs: [...open.runs] };
  }

  restart(): void {
    this.index = new MessageIndex(1, this.records, this.flush());
  }

  page(ordinal: number, count: number): number[] {
    return [...this.index.seqs(ordinal, ordinal + count)];
  }
}

/** How far the next message stands from the last one; 0 writes the views, -1 starts again from them. */
const steps = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: -1, max: 4 })), {
  minLength: 1,
  maxLength: 700,
  size: "max",
});

describe("the index of messages", () => {
  it("says what a plain list says, wherever its chunks are", () => {
    fc.assert(
      fc.property(steps, fc.nat(1_500), fc.nat(300), (plan, seq, ordinal) => {
        const subject = new Subject();
        const list: number[] = [];
        for (const step of plan) {
          if (step === 0) subject.flush();
          else if (step < 0) subject.restart();
          else {
            list.push((list.at(-1) ?? 0) + step);
            subject.index.add(list.at(-1) as number);
          }
        }
        expect(subject.index.countUpTo(seq)).toBe(list.filter((one) => one <= seq).length);
        expect(subject.index.countUpTo(0)).toBe(0);
        expect(subject.page(0, list.length + 5)).toEqual(list);
        if (ordinal < list.length)
          expect(subject.page(ordinal, 40)).toEqual(list.slice(ordinal, ordinal + 40));
      }),
    );
  });

  it("is the same in the views whenever it was written", () => {
    const seqs = Array.from({ length: 3_000 }, (_, index) => index * 4 + (index % 7 === 0 ? 2 : 1));
    const [once, often] = [new Subject(), new Subject()];
    for (const [at, seq] of seqs.entries()) {
      once.index.add(seq);
      often.index.add(seq);
      if (at % 13 === 0) often.restart();
      else if (at % 5 === 0) often.flush();
    }
    expect(often.flush()).toEqual(once.flush());
    expect(often.records.chunks).toEqual(once.records.chunks);
    expect(once.records.chunks.size).toBeGreaterThan(10);
  });

  it("leaves what a flush took as it was", () => {
    const subject = new Subject();
    for (let seq = 1; seq <= 10; seq++) subject.index.add(seq);
    const { open } = subject.index.take();
    subject.index.add(11);
    expect(open).toEqual({ ordinal: 0, runs: [1, 1, 10] });
  });

  it("is one run for a conversation of messages alone, and keeps nothing else", () => {
    const subject = new Subject();
    for (let seq = 1; seq <= 100_000; seq++) subject.index.add(seq);
    expect(subject.flush()).toEqual({ ordinal: 0, runs: [1, 1, 100_000] });
    expect(subject.records.chunks.size).toBe(0);
  });
});
