import { describe, expect, test } from "vitest";
import { EventWindow } from "./event-window.js";
import type { SessionEvent } from "./wire.js";

const events = (...seqs: number[]): SessionEvent[] => seqs.map((seq) => ({ seq }) as SessionEvent);
const seqs = (list: readonly SessionEvent[] | undefined): number[] | undefined => list?.map(({ seq }) => seq);

describe("the window of events", () => {
  test("takes what follows, once, in order", () => {
    const window = new EventWindow(4, 10);
    expect(seqs(window.push(events(5, 6)).taken)).toEqual([5, 6]);
    expect(seqs(window.push(events(5, 6, 7)).taken)).toEqual([7]);
    expect([window.cursor, seqs(window.events)]).toEqual([7, [5, 6, 7]]);
  });

  test("takes nothing over a hole, and says so", () => {
    const window = new EventWindow(0, 10);
    const { taken, isBroken } = window.push(events(1, 3, 4));
    expect([seqs(taken), isBroken, window.cursor]).toEqual([[1], true, 1]);
    expect(window.push(events(2, 3)).isBroken).toBe(false);
  });

  test("gives what follows on a cursor, if the next one is there", () => {
    const window = new EventWindow(4, 10);
    window.push(events(5, 6, 7));
    expect(seqs(window.after(5))).toEqual([6, 7]);
    expect(seqs(window.after(7))).toEqual([]);
    expect(seqs(window.after(4))).toEqual([5, 6, 7]);
    expect(window.after(3)).toBeUndefined();
    expect(window.after(8)).toBeUndefined();
  });

  test("keeps the newest, and not many more than it may", () => {
    const window = new EventWindow(0, 8);
    for (let seq = 1; seq <= 100; seq++) window.push(events(seq));
    expect(window.events.length).toBeLessThanOrEqual(10);
    expect(window.events.at(-1)?.seq).toBe(100);
    expect(window.after(100 - window.events.length)).toHaveLength(window.events.length);
  });

  test("begins anew elsewhere", () => {
    const window = new EventWindow(0, 8);
    window.push(events(1, 2));
    window.reset(50);
    expect(window.push(events(51)).isBroken).toBe(false);
    expect(window.after(2)).toBeUndefined();
  });
});
