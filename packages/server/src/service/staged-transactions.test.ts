import { DaybookError, type ErrorCode, LIMITS } from "@daybook/protocol";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { StagedTransactions } from "./staged-transactions.js";
import type { RecordOperation, Transaction } from "./transaction.js";

const write = (bytes: number, key = "k"): RecordOperation => ({
  id: { namespace: "default", agent: "a", key },
  value: `{"a":"${"x".repeat(Math.max(0, bytes - 8))}"}`,
});

function codeOf(attempt: () => unknown): ErrorCode | "ok" {
  try {
    attempt();
    return "ok";
  } catch (error) {
    return (error as DaybookError).code;
  }
}

const rejected = (promise: Promise<unknown>): Promise<ErrorCode | "ok"> =>
  promise.then(
    () => "ok" as const,
    (error: unknown) => (error as DaybookError).code,
  );

describe("staged transactions", () => {
  let nowMs = 0;
  let staged: StagedTransactions;
  const commit = (id: string, run: (transaction: Transaction) => unknown = () => "done"): Promise<unknown> =>
    staged.commit("acme", id, (transaction) => Promise.resolve(transaction).then(run));

  beforeEach(() => {
    nowMs = 1_000;
    staged = new StagedTransactions(() => nowMs);
    return () => staged.close();
  });

  test("are handed to commit as they were staged, and are over then", async () => {
    const id = staged.begin("acme", 1_000);
    staged.stage("acme", id, write(20));
    staged.stage("acme", id, { ...write(30, "l"), ifVersion: 2 });
    const seen = await commit(id, ({ operations, conditions }) => [
      operations.length,
      [...conditions.values()],
    ]);
    expect(seen).toEqual([2, [2]]);
    expect(await rejected(commit(id))).toBe("transaction_ended");
    expect([staged.openCount, staged.bytes]).toEqual([0, 0]);
  });

  test("belong to their tenant", async () => {
    const id = staged.begin("acme", 1_000);
    expect(codeOf(() => staged.stage("umbrella", id, write(20)))).toBe("transaction_not_found");
    staged.abort("umbrella", id);
    expect(await rejected(commit(id))).toBe("ok");
  });

  test("hold 10,000 operations at most", () => {
    const id = staged.begin("acme", 1_000);
    for (let index = 0; index < LIMITS.transactionOperationsMax; index++) staged.stage("acme", id, write(20));
    expect(codeOf(() => staged.stage("acme", id, write(20)))).toBe("state_too_large");
  });

  test("end at the moment their time is over, also when no timer has fired", () => {
    const id = staged.begin("acme", 1_000);
    nowMs += 999;
    expect(codeOf(() => staged.stage("acme", id, write(20)))).toBe("ok");
    nowMs += 1;
    expect(codeOf(() => staged.stage("acme", id, write(20)))).toBe("transaction_expired");
    expect([staged.openCount, staged.bytes]).toEqual([0, 0]);
  });

  test("are let go when their time is over, though nobody asks for them", () => {
    vi.useFakeTimers();
    const timed = new StagedTransactions(() => Date.now());
    timed.stage("acme", timed.begin("acme", 1_000), write(100_000));
    vi.advanceTimersByTime(1_002);
    expect([timed.openCount, timed.bytes]).toEqual([0, 0]);
    timed.close();
    vi.useRealTimers();
  });

  test("do not expire while they are being committed, nor take anything more", async () => {
    const id = staged.begin("acme", 1_000);
    const outcome = commit(id, () => {
      nowMs += 5_000;
      expect(codeOf(() => staged.stage("acme", id, write(20)))).toBe("transaction_ended");
      staged.abort("acme", id);
      return "done";
    });
    expect(await outcome).toBe("done");
    expect(await rejected(commit(id))).toBe("transaction_ended");
  });

  test.each<[ErrorCode, ErrorCode | "ok"]>([
    ["event_store_backpressure", "ok"],
    ["shutting_down", "ok"],
    ["state_conflict", "transaction_ended"],
    ["storage_unavailable", "transaction_ended"],
  ])("after a commit failed with %s, another try gets: %s", async (code, then) => {
    const id = staged.begin("acme", 1_000);
    const failing = commit(id, () => {
      throw new DaybookError(code, "failed");
    });
    expect(await rejected(failing)).toBe(code);
    expect(await rejected(commit(id))).toBe(then);
  });

  test("that ran out of time while a commit failed expire then", async () => {
    const id = staged.begin("acme", 1_000);
    const failing = commit(id, () => {
      nowMs += 1_000;
      throw new DaybookError("event_store_backpressure", "failed");
    });
    expect(await rejected(failing)).toBe("event_store_backpressure");
    expect(await rejected(commit(id))).toBe("transaction_expired");
  });

  test("take bounded memory when 10,000 are abandoned, and other tenants none of it", () => {
    const value = write(10_000);
    const refusals = Array.from({ length: 10_000 }, () =>
      codeOf(() => staged.stage("acme", staged.begin("acme", 60_000), value)),
    );
    expect(new Set(refusals)).toEqual(new Set(["ok", "transactions_full"]));
    expect(staged.bytes).toBeLessThanOrEqual(LIMITS.stagedBytesMax);
    expect(codeOf(() => staged.stage("umbrella", staged.begin("umbrella", 60_000), value))).toBe("ok");
  });

  test("give back what a refused operation would have taken", () => {
    const id = staged.begin("acme", 60_000);
    const before = staged.bytes;
    expect(codeOf(() => staged.stage("acme", id, write(LIMITS.stateValueBytesMax + 1)))).toBe(
      "state_too_large",
    );
    expect(staged.bytes).toBe(before);
  });

  test("are remembered for ten minutes when they have ended, and 100,000 at most", async () => {
    const first = staged.begin("acme", 60_000);
    await commit(first);
    nowMs += LIMITS.endedTransactionMsMax;
    staged.abort("acme", staged.begin("acme", 60_000));
    expect(await rejected(commit(first))).toBe("transaction_ended");
    nowMs += 1;
    staged.abort("acme", staged.begin("acme", 60_000));
    expect(await rejected(commit(first))).toBe("transaction_not_found");
    const second = staged.begin("acme", 60_000);
    staged.abort("acme", second);
    for (let index = 1; index < LIMITS.endedTransactionsMax; index++)
      staged.abort("acme", staged.begin("acme", 60_000));
    expect(await rejected(commit(second))).toBe("transaction_ended");
    staged.abort("acme", staged.begin("acme", 60_000));
    expect(await rejected(commit(second))).toBe("transaction_not_found");
  });
});
