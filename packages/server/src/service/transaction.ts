import { type AgentKey, byteLength, encodeAgentKey } from "@daybook/core";
import { DaybookError, LIMITS } from "@daybook/protocol";
import { invalidState } from "./state-names.js";

/** One write or delete of a record; without a value it is a delete. */
export interface RecordOperation {
  readonly id: AgentKey;
  /** The exact text of a JSON object. */
  readonly value?: string;
  /** The version the record must have before the transaction; 0: it must not exist. */
  readonly ifVersion?: number;
}

/** What an operation costs in memory beside its texts. */
const OPERATION_OVERHEAD_BYTES = 256;

/** Operations in their order, within the limits of one transaction. */
export class Transaction {
  private readonly staged: { readonly key: string; readonly value?: string }[] = [];
  private readonly expected = new Map<string, number>();
  private bytes = 0;

  get operations(): readonly { readonly key: string; readonly value?: string }[] {
    return this.staged;
  }

  /** By state key: what its version must be. */
  get conditions(): ReadonlyMap<string, number> {
    return this.expected;
  }

  /** What it takes in memory. */
  get footprint(): number {
    return this.bytes + this.staged.length * OPERATION_OVERHEAD_BYTES;
  }

  /**
   * Adds an operation, once `reserve` was told what it takes in memory and did not throw.
   * @throws DaybookError invalid_state, state_too_large; nothing is added then.
   */
  add({ id, value, ifVersion }: RecordOperation, reserve: (bytes: number) => void = () => undefined): void {
    const key = encodeAgentKey(id);
    const bytes = this.bytes + byteLength(key) + checkedValueBytes(value);
    if (bytes > LIMITS.transactionBytesMax)
      throw tooLarge(`A transaction holds at most ${LIMITS.transactionBytesMax} bytes of keys and values.`);
    if (this.staged.length === LIMITS.transactionOperationsMax)
      throw tooLarge(`A transaction holds at most ${LIMITS.transactionOperationsMax} operations.`);
    if (ifVersion !== undefined) this.checkExpected(id, key, ifVersion);
    reserve(bytes - this.bytes + OPERATION_OVERHEAD_BYTES);
    if (ifVersion !== undefined) this.expected.set(key, ifVersion);
    this.bytes = bytes;
    this.staged.push(value === undefined ? { key } : { key, value });
  }

  /** The version before the transaction is meant, so a record has one, however often it is written. */
  private checkExpected({ key: name }: AgentKey, key: string, version: number): void {
    const before = this.expected.get(key);
    if (before !== undefined && before !== version) {
      throw invalidState(
        `if_version of ${JSON.stringify(name)} is ${before} in one operation and ${version} in another; ` +
          "it is the version before the transaction",
      );
    }
  }
}

function checkedValueBytes(value: string | undefined): number {
  if (value === undefined) return 0;
  const bytes = byteLength(value);
  if (bytes > LIMITS.stateValueBytesMax)
    throw tooLarge(
      `A value holds at most ${LIMITS.stateValueBytesMax} bytes of JSON; this one has ${bytes}.`,
    );
  return bytes;
}

function tooLarge(message: string): DaybookError {
  return new DaybookError("state_too_large", message);
}
