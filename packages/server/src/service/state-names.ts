import { type AgentId, type AgentKey, byteLength } from "@daybook/core";
import { DaybookError, type ErrorCode, LIMITS, whyNotPlainText } from "@daybook/protocol";

/** Where an agent's state is when nothing else is said. */
export const DEFAULT_NAMESPACE = "default";

/** Checks what names an agent. @throws DaybookError invalid_state */
export function readAgentId(namespace: string, agent: string): AgentId {
  const id = { namespace: namespace === "" ? DEFAULT_NAMESPACE : namespace, agent };
  checkName(id.namespace, "namespace");
  checkName(id.agent, "agent_id");
  return id;
}

/** Checks what names a record. @throws DaybookError invalid_state */
export function readAgentKey(namespace: string, agent: string, key: string): AgentKey {
  return { ...readAgentId(namespace, agent), key: readKey(key) };
}

/** The name of a record, or of a key in a session's state. @throws DaybookError */
export function readKey(key: string, code: ErrorCode = "invalid_state"): string {
  if (key === "") throw new DaybookError(code, "key must not be empty.");
  return checkedPlain(key, "key", code);
}

/** A prefix is the beginning of a key, the empty one included. @throws DaybookError */
export function readPrefix(prefix: string, code: ErrorCode = "invalid_state"): string {
  return checkedPlain(prefix, "prefix", code);
}

export function invalidState(reason: string): DaybookError {
  return new DaybookError("invalid_state", `${reason}.`);
}

function checkName(name: string, what: string): void {
  if (name === "") throw invalidState(`${what} must not be empty`);
  // They stand in paths, where these would be eaten.
  if (name === "." || name === "..") throw invalidState(`${what} must not be . or ..`);
  if (byteLength(name) > LIMITS.agentNameBytesMax)
    throw invalidState(`${what} is over ${LIMITS.agentNameBytesMax} bytes`);
  const why = whyNotPlainText(name);
  if (why !== undefined) throw invalidState(`${what} ${why}`);
}

function checkedPlain(text: string, what: string, code: ErrorCode): string {
  const why =
    byteLength(text) > LIMITS.stateKeyBytesMax
      ? `is over ${LIMITS.stateKeyBytesMax} bytes`
      : whyNotPlainText(text);
  if (why !== undefined) throw new DaybookError(code, `${what} ${why}.`);
  return text;
}
