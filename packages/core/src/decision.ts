import { DaybookError, type ErrorCode, type ErrorDetails } from "@daybook/protocol";
import type { Entry } from "./entry.js";
import type { Head, LogId, SessionHeader } from "./head.js";
import type { ProducerWindow } from "./producer-window.js";
import type { KeyVersion } from "./state.js";

/** Entries for another log than the one that was asked about. */
export interface OtherEntries {
  readonly id: LogId;
  readonly entries: readonly Entry[];
}

/**
 * What a rule says of a command. `commit`: store these entries, those for other logs behind them, in one atomic step,
 * then answer. `answer`: nothing to
 * store; still the answer waits until what it was decided on is durable. `reject`: likewise.
 */
export type Decision<Answer> =
  | {
      readonly kind: "commit";
      readonly entries: readonly Entry[];
      readonly others?: readonly OtherEntries[];
      readonly answer: Answer;
    }
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "reject"; readonly error: DaybookError };

/** What a rule may ask beside the head. The command named it before, so that the engine has it at hand. */
export interface Facts {
  producer(id: string): ProducerWindow | undefined;
  /** The stored JSON of an event that a named pair became, or that was named by its seq. */
  eventJson(seq: number): string;
  /** The seq that the message with this idempotency key became, if the key is remembered. */
  seqOfKey(idempotencyKey: string): number | undefined;
  /** The newest version of a state key, tombstones too. */
  key(key: string): KeyVersion | undefined;
  header(): SessionHeader;
  /** Of a log that was named. */
  headOf(id: LogId): Head | undefined;
}

/** The facts a command needs, named before it is decided. */
export interface Needs {
  readonly pairs?: readonly { readonly producerId: string; readonly producerSeq: number }[];
  readonly idempotencyKeys?: readonly string[];
  readonly keys?: readonly string[];
  /** Stored events wanted by seq, as far as they exist. */
  readonly seqs?: readonly number[];
  readonly header?: boolean;
  /** Logs whose heads are asked for, or that entries may be added to. */
  readonly others?: readonly LogId[];
}

export function reject(code: ErrorCode, message: string, details: ErrorDetails = {}): Decision<never> {
  return { kind: "reject", error: new DaybookError(code, message, { details }) };
}

export const sessionNotFound = (): Decision<never> =>
  reject("session_not_found", "There is no session with this id. Create it with POST /v1/sessions.");
