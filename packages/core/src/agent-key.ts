import { LogId } from "./head.js";

/** An agent, as far as its state goes. */
export interface AgentId {
  readonly namespace: string;
  readonly agent: string;
}

export interface AgentKey extends AgentId {
  readonly key: string;
}

/** No name and no key holds a control character, so no two identities make one text. */
const SEPARATOR = "\u001f";

/** The log that holds the state of all agents of a tenant; its seqs are their commit times. */
export const agentStateLog = (tenant: string): LogId => new LogId(tenant, "/agent-state");

/** What all state keys of an agent begin with, in its log. */
export const agentPrefix = ({ namespace, agent }: AgentId): string =>
  `${namespace}${SEPARATOR}${agent}${SEPARATOR}`;

/** A record's state key in its log: keys of one agent stand together, in the order of their bytes. */
export const encodeAgentKey = (id: AgentKey): string => agentPrefix(id) + id.key;

export function decodeAgentKey(stateKey: string): AgentKey {
  const prefix = ownerOfKey(stateKey);
  const [namespace = "", agent = ""] = prefix.split(SEPARATOR);
  return { namespace, agent, key: stateKey.slice(prefix.length) };
}

/** The agent's prefix that a state key begins with. */
export function ownerOfKey(stateKey: string): string {
  const afterNamespace = stateKey.indexOf(SEPARATOR) + 1;
  return stateKey.slice(0, stateKey.indexOf(SEPARATOR, afterNamespace) + 1);
}
