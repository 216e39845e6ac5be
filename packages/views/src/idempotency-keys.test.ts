import { LIMITS } from "@daybook/protocol";
import { describe, expect, it } from "vitest";
import { IdempotencyKeys, type KeyRecords, type RememberedKey } from "./idempotency-keys.js";

const MAX = LIMITS.idempotencyKeysMax;

/** Views in a plain map, which forget nothing. */
class PlainRecords implements KeyRecords {
  readonly stored = new Map<string, RememberedKey>();
  rememberedKey = (_log: number, digest: string): RememberedKey | undefined => this.stored.get(digest);
}

class Subject {
  private readonly records = new PlainRecords();
  keys = new IdempotencyKeys(1, this.records);

  flush(): void {
    const taken = this.keys.take();
    for (const key of taken) this.records.stored.set(key.digest, key);
    this.keys.release(taken);
  }

  restart(): void {
    this.flush();
    this.keys = new IdempotencyKeys(1, this.records, this.keys.count);
  }
}

describe("idempotency keys", () => {
  it.each<[string, (subject: Subject, index: number) => void]>([
    ["in memory", () => undefined],
    ["when the views are written now and then", (subject, index) => index % 100 === 0 && subject.flush()],
    ["over restarts", (subject, index) => index % 333 === 0 && subject.restart()],
  ])("are remembered 1,024 back, and no further: %s", (_when, disturb) => {
    const subject = new Subject();
    const total = 2 * MAX + 100;
    for (let index = 1; index <= total; index++) {
      subject.keys.add(`key ${index}`, index * 3);
      disturb(subject, index);
    }
    for (let index = 1; index <= total; index++)
      expect(subject.keys.seqOf(`key ${index}`)).toBe(index > total - MAX ? index * 3 : undefined);
  });

  it("may come again after they were forgotten", () => {
    const subject = new Subject();
    subject.keys.add("again", 1);
    for (let index = 1; index <= MAX; index++) subject.keys.add(`key ${index}`, 1 + index);
    subject.flush();
    expect(subject.keys.seqOf("again")).toBeUndefined();
    subject.keys.add("again", 5_000);
    expect(subject.keys.seqOf("again")).toBe(5_000);
    subject.restart();
    expect(subject.keys.seqOf("again")).toBe(5_000);
  });

  it("may hold anything and be of any length", () => {
    const subject = new Subject();
    const keys = ["a", "a\0b", "x".repeat(100_000), "x".repeat(100_001), "é", "🙂"];
    for (const [index, key] of keys.entries()) subject.keys.add(key, index + 1);
    subject.restart();
    expect(keys.map((key) => subject.keys.seqOf(key))).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
