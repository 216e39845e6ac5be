import { describe, expect, it } from "vitest";
import { Outbox, type Outgoing } from "./outbox.js";

const limits = { queueBytesMax: 100, batchEventsMax: 3, batchBytesMax: 20 };

/** A send that a test finishes by hand. */
class HeldSends {
  readonly batches: string[][] = [];
  private readonly waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

  readonly send = (batch: readonly Outgoing[]): Promise<void> => {
    this.batches.push(batch.map(({ text }) => text));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  };

  async finishOne(error?: Error): Promise<void> {
    await settled();
    const held = this.waiting.shift();
    if (error === undefined) held?.resolve();
    else held?.reject(error);
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Outbox", () => {
  it("has one batch in flight, and everything added meanwhile goes with the next", async () => {
    const sends = new HeldSends();
    const outbox = new Outbox(sends.send, limits);
    outbox.add({ text: "a" });
    await settled();
    for (const text of ["b", "c", "d", "e"]) outbox.add({ text });
    await settled();
    expect(sends.batches).toEqual([["a"]]);
    await sends.finishOne();
    expect(sends.batches).toEqual([["a"], ["b", "c", "d"]]);
    await sends.finishOne();
    await sends.finishOne();
    await outbox.flushed();
    expect(sends.batches).toEqual([["a"], ["b", "c", "d"], ["e"]]);
  });

  it("ends a batch before it has too many bytes, but sends one large event alone", async () => {
    const batches: string[][] = [];
    const outbox = new Outbox(async (batch: readonly Outgoing[]) => {
      batches.push(batch.map(({ text }) => text));
      await settled();
    }, limits);
    for (const text of ["x".repeat(12), "y".repeat(12), "ä".repeat(30), "z"]) outbox.add({ text });
    await outbox.flushed();
    expect(batches.map((batch) => batch.map((text) => text.charAt(0)).join(""))).toEqual([
      "x",
      "y",
      "ä",
      "z",
    ]);
  });

  it("makes the writer wait while the queue is full, what is in flight included", async () => {
    const sends = new HeldSends();
    const outbox = new Outbox(sends.send, limits);
    for (let count = 0; count < 10; count++) outbox.add({ text: "x".repeat(10) });
    let hasRoom = false;
    void outbox.room().then(() => (hasRoom = true));
    await settled();
    expect(hasRoom).toBe(false);
    await sends.finishOne();
    expect(hasRoom).toBe(true);
  });

  it("drops everything once a send failed, lets the writer go on, and says so when flushed", async () => {
    const sends = new HeldSends();
    const outbox = new Outbox(sends.send, limits);
    for (let count = 0; count < 10; count++) outbox.add({ text: "x".repeat(10) });
    const room = outbox.room();
    await sends.finishOne(new Error("refused"));
    await room;
    outbox.add({ text: "later" });
    await settled();
    expect(sends.batches).toHaveLength(1);
    expect(outbox.hasFailed).toBe(true);
    await expect(outbox.flushed()).rejects.toThrow("refused");
  });
});
