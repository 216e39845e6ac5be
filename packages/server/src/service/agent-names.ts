import { type AgentId, type AgentKey, byteLength } from "@daybook/core";
import { DaybookError, LIMITS, whyNotPlainText } from "@daybook/protocol";

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
  const id = readAgentId(namespace, agent);
  checkPlain(key, "key");
  if (key === "") throw invalidState("key must not be empty");
  return { ...id, key };
}

/** A prefix is the beginning of a key, the empty one included. @throws DaybookError invalid_state */
export function readPrefix(prefix: string): string {
  checkPlain(prefix, "prefix");
  return prefix;
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

function checkPlain(key: string, what: string): void {
  if (byteLength(key) > LIMITS.stateKeyBytesMax)
    throw invalidState(`${what} is over ${LIMITS.stateKeyBytesMax} bytes`);
  const why = whyNotPlainText(key);
  if (why !== undefined) throw invalidState(`${what} ${why}`);
}
