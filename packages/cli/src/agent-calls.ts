import { parseJson, type RawJson } from "@daybook/protocol/parse-json";
import { UsageFailure } from "./failures.js";
import type { ServerClient } from "./server-client.js";

/** An agent whose state is meant. */
export interface AgentTarget {
  readonly namespace: string;
  readonly agent: string;
}

/** A record's version as the server shows it; `value` is its exact text. */
export interface StateRecord {
  readonly key: string;
  readonly version: number;
  readonly commit_ts: number;
  readonly deleted: boolean;
  readonly value?: RawJson;
}

export const RECORD_MEMBERS = {
  key: "value",
  version: "value",
  commit_ts: "value",
  deleted: "value",
  value: "raw",
} as const;

const PAGE = {
  members: { state: { items: { members: RECORD_MEMBERS } }, commit_ts: "value", next_cursor: "value" },
} as const;
/** Some levels around values that nest no deeper than the server lets them. */
export const DEPTH = { depthMax: 512 };
const PAGE_RECORDS = 500;

/** @throws UsageFailure for names that would change the path */
export function agentPath({ namespace, agent }: AgentTarget, rest = ""): string {
  for (const name of [namespace, agent]) {
    if (name === "" || name === "." || name === "..")
      throw new UsageFailure(`no agent and no namespace is called ${JSON.stringify(name)}`);
  }
  return `/v1/state/${encodeURIComponent(namespace)}/${encodeURIComponent(agent)}${rest}`;
}

/** `?a=1&b=2` of what is there; keys stand in the query, where no path can eat them. */
export function queryOf(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

export function get(client: ServerClient, path: string): Promise<string> {
  return client.call({ method: "GET", path, repeatable: true });
}

export interface ListedState {
  /** The commit that this is the state as of. */
  readonly commitTs: number;
  readonly records: readonly StateRecord[];
}

/** An agent's records as of one commit, a page at a time. @yields at least one page */
export async function* listPages(
  client: ServerClient,
  target: AgentTarget,
  wanted: {
    readonly prefix?: string | undefined;
    readonly at?: string | undefined;
    readonly limit?: number | undefined;
    readonly keysOnly?: boolean;
  },
): AsyncGenerator<ListedState> {
  let left = wanted.limit ?? Infinity;
  for (let cursor: string | undefined; ;) {
    const query = queryOf({
      ...{ prefix: wanted.prefix, cursor, limit: Math.min(PAGE_RECORDS, left) },
      at: cursor === undefined ? wanted.at : undefined,
      keys_only: wanted.keysOnly === true ? "true" : undefined,
    });
    const page = parseJson(await get(client, agentPath(target, query)), PAGE, DEPTH) as {
      state: StateRecord[];
      commit_ts: number;
      next_cursor: string | null;
    };
    yield { commitTs: page.commit_ts, records: page.state };
    left -= page.state.length;
    if (page.next_cursor === null || left <= 0) return;
    cursor = page.next_cursor;
  }
}
