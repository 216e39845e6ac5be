import { createHash } from "node:crypto";
import type { Commit } from "@daybook/core";
import { DaybookError, type JsonShape, LIMITS, whyNotAName } from "@daybook/protocol";
import { StateTransaction, type StateWrite } from "@daybook/protocol/schemas";
import { invalidState, readAgentKey } from "./state-names.js";
import { ownName } from "./own-name.js";
import { bodyReader } from "./read-body.js";
import { newTransactionId } from "./staged-transactions.js";
import { type RecordOperation, Transaction } from "./transaction.js";

const SHAPE: JsonShape = {
  members: {
    operations: {
      items: {
        members: {
          namespace: "value",
          agent_id: "value",
          key: "value",
          value: "raw",
          delete: "value",
          if_version: "value",
        },
      },
    },
    producer_id: "value",
    producer_seq: "value",
  },
};

/** A value may nest as deep as one that comes by gRPC: the body, the list and the operation around it do not count. */
const DEPTH_MAX = LIMITS.jsonDepthMax + 3;

const readBody = bodyReader(StateTransaction, SHAPE, { code: "invalid_state" }, DEPTH_MAX);

/** Reads the body of a transaction sent in one call. @throws DaybookError invalid_state, state_too_large */
export function readTransaction(body: Buffer | undefined): Pick<Commit, "id" | "producer"> & {
  readonly transaction: Transaction;
} {
  const input = readBody(body);
  const transaction = new Transaction();
  for (const [index, write] of input.operations.entries()) {
    try {
      transaction.add(readOperation(write));
    } catch (error) {
      throw atIndex(error, index);
    }
  }
  const producer = readProducer(input);
  return { transaction, producer, id: producer === null ? newTransactionId() : idOfRetries(producer) };
}

function readOperation({
  namespace = "",
  agent_id,
  key,
  value,
  delete: deletes,
  if_version,
}: StateWrite): RecordOperation {
  if ((value === undefined) === (deletes === undefined))
    throw invalidState("an operation has either a value or delete: true");
  if (value !== undefined) checkNumbers(value.text);
  return {
    id: readAgentKey(namespace, agent_id, key),
    ...(value !== undefined && { value: value.text }),
    ...(if_version !== undefined && { ifVersion: if_version }),
  };
}

function readProducer({ producer_id: id, producer_seq: seq }: StateTransaction): Commit["producer"] {
  if (id === undefined && seq === undefined) return null;
  if (id === undefined || seq === undefined) throw invalidState("producer_id and producer_seq go together");
  const why = whyNotAName(id);
  if (why !== undefined) throw invalidState(`producer_id ${why}`);
  return { id: ownName(id), seq };
}

/** A retry must be the same transaction to the last letter. */
function idOfRetries({ id, seq }: { readonly id: string; readonly seq: number }): string {
  return `txn_${createHash("sha256")
    .update(JSON.stringify([id, seq]))
    .digest("base64url")
    .slice(0, 20)}`;
}

/** Only such a text can hold a number that no double can. */
const PERHAPS_HUGE = /\d{300}|[eE]\+?\d{3}/;

/** A value must be readable over gRPC too, where numbers are doubles. */
function checkNumbers(text: string): void {
  if (!PERHAPS_HUGE.test(text)) return;
  JSON.parse(text, (_name, value: unknown) => {
    if (value === Infinity || value === -Infinity)
      throw invalidState("value holds a number beyond what a double can be");
    return value;
  });
}

function atIndex(error: unknown, index: number): unknown {
  if (!(error instanceof DaybookError)) return error;
  const details = { ...error.details, index };
  return new DaybookError(error.code, `operations[${index}]: ${error.message}`, { details });
}
