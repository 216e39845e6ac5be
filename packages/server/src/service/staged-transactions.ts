import { randomUUID } from "node:crypto";
import { DaybookError, LIMITS } from "@daybook/protocol";
import { type RecordOperation, Transaction } from "./transaction.js";

/** What an open transaction costs in memory beside its operations. */
const TRANSACTION_OVERHEAD_BYTES = 1_024;
const SWEEP_MS = 60_000;

/** How a transaction ended. `unknown`: it was being committed when the store failed. */
type End = "committed" | "aborted" | "expired" | "unknown";

interface Open {
  readonly transaction: Transaction;
  readonly timer: NodeJS.Timeout;
  readonly expiresAtMs: number;
  /** Nothing may be added, and it does not expire meanwhile. */
  committing: boolean;
}

interface OfTenant {
  readonly open: Map<string, Open>;
  readonly ended: Map<string, { readonly how: End; readonly atMs: number }>;
  bytes: number;
}

/** Random and made ahead in bulk by Node: asking for a few bytes of its own costs more than the transaction. */
export const newTransactionId = (): string => `txn_${randomUUID()}`;

/**
 * Transactions that were begun and not yet ended, in memory only: a restart forgets them, and nothing of theirs was
 * to be seen. Bounded per tenant, so that what one abandons costs others nothing.
 */
export class StagedTransactions {
  private readonly tenants = new Map<string, OfTenant>();
  private readonly sweeper: NodeJS.Timeout;

  constructor(private readonly clock: () => number = () => performance.now()) {
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.sweeper.unref();
  }

  get openCount(): number {
    let count = 0;
    for (const { open } of this.tenants.values()) count += open.size;
    return count;
  }

  get bytes(): number {
    let bytes = 0;
    for (const tenant of this.tenants.values()) bytes += tenant.bytes;
    return bytes;
  }

  /** @throws DaybookError transactions_full */
  begin(tenant: string, timeoutMs: number): string {
    const known = this.tenants.get(tenant) ?? { open: new Map(), ended: new Map(), bytes: 0 };
    reserve(known, TRANSACTION_OVERHEAD_BYTES);
    this.tenants.set(tenant, known);
    const id = newTransactionId();
    const timer = setTimeout(() => this.expireIfDue(known, id), timeoutMs + 1);
    timer.unref();
    const expiresAtMs = this.clock() + timeoutMs;
    known.open.set(id, { transaction: new Transaction(), timer, expiresAtMs, committing: false });
    return id;
  }

  /** @throws DaybookError what `Transaction.add` throws; transactions_full, transaction_not_found and its kin */
  stage(tenant: string, id: string, operation: RecordOperation): void {
    const { known, open } = this.opened(tenant, id);
    open.transaction.add(operation, (bytes) => reserve(known, bytes));
  }

  /**
   * Commits with `commit`, once. A refusal that a later try may not meet leaves the transaction open; any other ends it.
   * @throws DaybookError what `commit` throws; transaction_not_found and its kin
   */
  async commit<Answer>(
    tenant: string,
    id: string,
    commit: (transaction: Transaction) => Promise<Answer>,
  ): Promise<Answer> {
    const { known, open } = this.opened(tenant, id);
    open.committing = true;
    try {
      const answer = await commit(open.transaction);
      this.end(known, id, "committed");
      return answer;
    } catch (error) {
      const facts = error instanceof DaybookError ? error.facts : undefined;
      if (facts?.effect === "none" && facts.retry === "after_delay") {
        open.committing = false;
        this.expireIfDue(known, id);
      } else this.end(known, id, facts?.effect === "none" ? "aborted" : "unknown");
      throw error;
    }
  }

  /** Aborting what is not there, or has ended, is fine. */
  abort(tenant: string, id: string): void {
    const known = this.tenants.get(tenant);
    if (known?.open.get(id)?.committing === false) this.end(known, id, "aborted");
  }

  close(): void {
    clearInterval(this.sweeper);
    for (const { open } of this.tenants.values()) for (const { timer } of open.values()) clearTimeout(timer);
    this.tenants.clear();
  }

  /** @throws DaybookError saying how it ended, or that there is none */
  private opened(tenant: string, id: string): { readonly known: OfTenant; readonly open: Open } {
    const known = this.tenants.get(tenant);
    if (known === undefined) throw notFound();
    // The timer may be late.
    this.expireIfDue(known, id);
    const open = known.open.get(id);
    if (open === undefined) throw notOpen(known.ended.get(id)?.how);
    if (open.committing) throw ended("being committed");
    return { known, open };
  }

  private expireIfDue(known: OfTenant, id: string): void {
    const open = known.open.get(id);
    if (open === undefined || open.committing || this.clock() < open.expiresAtMs) return;
    this.end(known, id, "expired");
  }

  private end(known: OfTenant, id: string, how: End): void {
    const open = known.open.get(id);
    if (open === undefined) return;
    clearTimeout(open.timer);
    known.open.delete(id);
    known.bytes -= open.transaction.footprint + TRANSACTION_OVERHEAD_BYTES;
    known.ended.set(id, { how, atMs: this.clock() });
    this.forget(known);
  }

  /** Forgets what ended long ago, and the oldest when there are too many. */
  private forget({ ended: ends }: OfTenant): void {
    const before = this.clock() - LIMITS.endedTransactionMsMax;
    for (const [id, { atMs }] of ends) {
      if (atMs >= before && ends.size <= LIMITS.endedTransactionsMax) return;
      ends.delete(id);
    }
  }

  private sweep(): void {
    for (const [tenant, known] of this.tenants) {
      this.forget(known);
      if (known.open.size === 0 && known.ended.size === 0) this.tenants.delete(tenant);
    }
  }
}

function reserve(known: OfTenant, bytes: number): void {
  if (known.bytes + bytes > LIMITS.stagedBytesMax) {
    throw new DaybookError(
      "transactions_full",
      `The open transactions of this tenant hold ${LIMITS.stagedBytesMax} bytes. Commit or abort some, or wait until they expire.`,
    );
  }
  known.bytes += bytes;
}

function notOpen(how: End | undefined): DaybookError {
  switch (how) {
    case undefined:
      return notFound();
    case "expired":
      return new DaybookError(
        "transaction_expired",
        "The transaction was not committed in time and was aborted. Begin another, with a longer timeout_ms if need be.",
      );
    case "unknown":
      return ended("over, and whether it took effect is not known: read before trying again");
    case "committed":
    case "aborted":
      return ended(how);
  }
}

function notFound(): DaybookError {
  return new DaybookError(
    "transaction_not_found",
    "There is no such transaction here: begin one. A restart of the server forgets open ones.",
  );
}

function ended(how: string): DaybookError {
  return new DaybookError("transaction_ended", `The transaction is ${how}.`);
}
