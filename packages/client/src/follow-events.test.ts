import { describe, expect, test } from "vitest";
import { DaybookError } from "./errors.js";
import { followEvents, type FollowSource } from "./follow-events.js";
import { settled } from "./sim-clock.test.support.js";
import type { SessionEvent } from "./wire.js";

const event = (seq: number): SessionEvent => ({ seq }) as SessionEvent;

/** A log of which memory holds the end. */
class Source implements FollowSource {
  log: number;
  held_ = 0;
  pages: number[] = [];
  failures: DaybookError[] = [];
  ended: { readonly error?: DaybookError } | undefined;
  private readonly watchers = new Set<() => void>();

  constructor(log: number, held: number) {
    this.log = log;
    this.held_ = held;
  }

  held(cursor: number): readonly SessionEvent[] | undefined {
    return cursor < this.log - this.held_ || cursor > this.log ? undefined : this.between(cursor, this.log);
  }

  page(cursor: number): Promise<readonly SessionEvent[]> {
    this.pages.push(cursor);
    const failure = this.failures.shift();
    if (failure !== undefined) return Promise.reject(failure);
    if (cursor > this.log)
      return Promise.reject(
        new DaybookError("invalid_cursor", "beyond", { status: 400, details: { last_seq: this.log } }),
      );
    return Promise.resolve(this.between(cursor, Math.min(this.log, cursor + 2)));
  }

  end(): { readonly error?: DaybookError } | undefined {
    return this.ended;
  }

  watch(changed: () => void): () => void {
    this.watchers.add(changed);
    return () => void this.watchers.delete(changed);
  }

  pause(): Promise<void> {
    return Promise.resolve();
  }

  change(): void {
    for (const watcher of [...this.watchers]) watcher();
  }

  get isWatched(): boolean {
    return this.watchers.size > 0;
  }

  private between(after: number, to: number): SessionEvent[] {
    return Array.from({ length: to - after }, (_, index) => event(after + index + 1));
  }
}

function follow(source: Source, cursor = 0, signal?: AbortSignal) {
  const seqs: number[] = [];
  const done = (async () => {
    for await (const { seq } of followEvents(source, cursor, signal)) seqs.push(seq);
  })();
  done.catch(() => undefined);
  return { seqs, done };
}

describe("following", () => {
  test("reads pages until memory has the rest, and then what comes", async () => {
    const source = new Source(7, 3);
    const { seqs } = follow(source);
    await settled();
    expect([seqs, source.pages]).toEqual([
      [1, 2, 3, 4, 5, 6, 7],
      [0, 2],
    ]);
    source.log++;
    source.change();
    await settled();
    expect(seqs.at(-1)).toBe(8);
  });

  test("tries a page again that could not be read now", async () => {
    const source = new Source(2, 0);
    const later = new DaybookError("storage_unavailable", "not now", { status: 503, retryable: true });
    source.failures = [later, later];
    const { seqs } = follow(source);
    await settled();
    expect([seqs, source.pages.slice(0, 3)]).toEqual([
      [1, 2],
      [0, 0, 0],
    ]);
  });

  test("ends with what another try will not change", async () => {
    const source = new Source(2, 0);
    source.failures = [new DaybookError("forbidden", "no", { status: 403 })];
    await expect(follow(source).done).rejects.toMatchObject({ code: "forbidden" });
    expect(source.isWatched).toBe(false);
  });

  test("goes on from the end when it was ahead of it", async () => {
    const source = new Source(3, 0);
    const { seqs } = follow(source, 50);
    await settled();
    source.log = 4;
    source.change();
    await settled();
    expect(seqs).toEqual([4]);
  });

  test("gives everything there is before it ends, with or without a reason", async () => {
    const quiet = new Source(3, 3);
    quiet.ended = {};
    const first = follow(quiet);
    await first.done;
    expect(first.seqs).toEqual([1, 2, 3]);
    const loud = new Source(3, 3);
    loud.ended = { error: new DaybookError("session_not_found", "gone") };
    const second = follow(loud);
    await expect(second.done).rejects.toMatchObject({ code: "session_not_found" });
    expect(second.seqs).toEqual([1, 2, 3]);
  });

  test("ends quietly with its signal: before it began, between events, while it waits", async () => {
    const abort = new AbortController();
    const source = new Source(2, 2);
    const waiting = follow(source, 0, abort.signal);
    await settled();
    abort.abort();
    await waiting.done;
    expect([waiting.seqs, source.isWatched]).toEqual([[1, 2], false]);
    const late = follow(source, 0, abort.signal);
    await late.done;
    expect(late.seqs).toEqual([]);
    const between = new AbortController();
    for await (const { seq } of followEvents(source, 0, between.signal)) {
      expect(seq).toBe(1);
      between.abort();
    }
  });

  test("a loop that is left leaves nothing behind", async () => {
    const source = new Source(2, 2);
    for await (const { seq } of followEvents(source, 0, undefined)) if (seq === 1) break;
    expect(source.isWatched).toBe(false);
  });
});
