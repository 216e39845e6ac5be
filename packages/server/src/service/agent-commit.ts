import { decodeAgentKey, decodeEvent, type StoredOperation, storedOperations } from "@daybook/core";
import type { StoredEvent } from "@daybook/engine";
import { type JsonShape, parseJson } from "@daybook/protocol";

/** A committed transaction, as far as it concerns one agent. */
export interface AgentCommit {
  readonly id: string;
  readonly commitTs: number;
  readonly committedAt: string;
  readonly actor: string;
  /** In their order; keys are the agent's own. */
  readonly operations: readonly StoredOperation[];
}

const PAYLOAD: JsonShape = { members: { txn_id: "value" } };

/** Reads a commit back, with the operations of the owner of these keys. */
export function readCommit({ seq, bytes }: StoredEvent, owner: string): AgentCommit {
  const { payload, state, actor, inserted_at: committedAt } = decodeEvent(bytes.toString("utf8"));
  const { txn_id: id } = parseJson(payload.text, PAYLOAD, { depthMax: 4 }) as { txn_id: string };
  const operations = (state === undefined ? [] : storedOperations(state))
    .filter(({ key }) => key.startsWith(owner))
    .map((operation) => ({ ...operation, key: decodeAgentKey(operation.key).key }));
  return { id, commitTs: seq, committedAt, actor, operations };
}
