import {
  type AgentId,
  type AgentKey,
  agentPrefix,
  agentStateLog,
  type Commit,
  decideCommit,
  decideOpenLog,
  decodeAgentKey,
  encodeAgentKey,
  type LogId,
  needsOfCommit,
} from "@daybook/core";
import type { Engine, StateEntry } from "@daybook/engine";
import { actorOf, DaybookError, type ErrorDetails } from "@daybook/protocol";
import { type AgentCommit, readCommit } from "./agent-commit.js";
import type { Caller } from "./caller.js";
import { seqAt } from "./seq-at.js";
import { diffState, type StateDifference } from "./state-diff.js";
import type { Transaction } from "./transaction.js";

export interface Committed {
  readonly commitTs: number;
  /** The same producer pair was committed before. */
  readonly deduped: boolean;
}

export interface RecordPage {
  /** Keys are the agent's own. */
  readonly entries: readonly StateEntry[];
  /** The commit this is the state as of. */
  readonly at: number;
  readonly next?: string;
}

/** A piece of a replay: enough at once to be quick, little enough to hold for a slow reader. */
const REPLAY_PAGE = { eventsMax: 256, bytesMax: 512 * 1024 };

/**
 * State of agents: one log per tenant, in which each transaction is one commit. A commit's seq is its `commit_ts`.
 * Until the first commit there is no log, and everything reads as empty.
 */
export class AgentState {
  /** `counted` is told the result of each commit: `ok`, or the code of its refusal. */
  constructor(
    private readonly engine: Engine,
    private readonly counted: (result: string) => void = () => undefined,
  ) {}

  /** Commits a transaction, durable when this resolves. @throws DaybookError state_conflict and what the engine throws */
  async commit(
    caller: Caller,
    transaction: Transaction,
    { id, producer = null }: Pick<Commit, "id"> & Partial<Pick<Commit, "producer">>,
  ): Promise<Committed> {
    const command: Commit = {
      log: logOf(caller),
      id,
      actor: actorOf(caller.principal),
      operations: transaction.operations,
      conditions: transaction.conditions,
      producer,
    };
    try {
      const { results } = await this.engine.transact(
        command.log,
        needsOfCommit(command),
        (head, facts, now) => decideCommit(head, facts, command, now),
      );
      const [result] = results;
      if (result === undefined) throw new Error("broken invariant: a commit without a result");
      this.counted("ok");
      return { commitTs: result.seq, deduped: result.deduped };
    } catch (error) {
      this.counted(error instanceof DaybookError ? error.code : "internal_error");
      throw inRecordTerms(error);
    }
  }

  /** The newest commit; 0 before the first. */
  lastCommit(caller: Caller): number {
    return this.engine.head(logOf(caller))?.lastSeq ?? 0;
  }

  /** The commit that `at` means: a commit_ts, or a time. @throws DaybookError invalid_cursor */
  async commitAt(caller: Caller, at: string | undefined): Promise<number | undefined> {
    return at === undefined ? undefined : seqAt(this.engine, logOf(caller), at, this.lastCommit(caller));
  }

  /** A record as of a commit, or one version of it; tombstones too. Undefined when it was never written by then. */
  async get(
    caller: Caller,
    id: AgentKey,
    at: { readonly atSeq?: number; readonly version?: number } = {},
  ): Promise<StateEntry | undefined> {
    if (this.lastCommit(caller) === 0) return undefined;
    const entry = await this.engine.stateKey(logOf(caller), encodeAgentKey(id), at);
    return entry === undefined ? undefined : ownKey(entry);
  }

  async list(
    caller: Caller,
    agent: AgentId,
    query: {
      readonly prefix: string;
      readonly limit: number;
      readonly atSeq?: number;
      readonly after?: string;
      readonly keysOnly?: boolean;
    },
  ): Promise<RecordPage> {
    if (this.lastCommit(caller) === 0) return { entries: [], at: 0 };
    const { prefix, after, ...rest } = query;
    const owner = agentPrefix(agent);
    const page = await this.engine.state(logOf(caller), {
      ...rest,
      prefix: owner + prefix,
      ...(after !== undefined && { after: owner + after }),
    });
    const entries = page.entries.map(ownKey);
    const next = page.next === undefined ? undefined : decodeAgentKey(page.next).key;
    return next === undefined ? { entries, at: page.atSeq } : { entries, at: page.atSeq, next };
  }

  /** Versions of a record, oldest first, tombstones too. */
  async history(
    caller: Caller,
    id: AgentKey,
    page: { readonly after: number; readonly limit: number },
  ): Promise<StateEntry[]> {
    if (this.lastCommit(caller) === 0) return [];
    return (await this.engine.stateHistory(logOf(caller), encodeAgentKey(id), page)).map(ownKey);
  }

  /** What changed between two commits. */
  async diff(
    caller: Caller,
    agent: AgentId,
    { from, to, prefix }: { readonly from: number; readonly to: number; readonly prefix: string },
  ): Promise<StateDifference[]> {
    if (this.lastCommit(caller) === 0) return [];
    const range = { from, to, prefix: agentPrefix(agent) + prefix };
    const differences = await diffState(this.engine, logOf(caller), range);
    return differences.map(({ kind, key, before, after }) => ({
      kind,
      key: decodeAgentKey(key).key,
      ...(before !== undefined && { before: ownKey(before) }),
      ...(after !== undefined && { after: ownKey(after) }),
    }));
  }

  /** A page of an agent's commits with after < commit_ts ≤ through. Empty: there are no more. */
  async commits(
    caller: Caller,
    agent: AgentId,
    range: { readonly after: number; readonly through: number },
  ): Promise<AgentCommit[]> {
    if (this.lastCommit(caller) === 0) return [];
    const owner = agentPrefix(agent);
    const events = await this.engine.commitsOf(logOf(caller), owner, range, REPLAY_PAGE);
    return events.map((event) => readCommit(event, owner));
  }

  /**
   * An agent's commits in order, with both bounds included, as of now: what is committed while it runs is left out.
   * Read a page at a time, when the last one was taken.
   */
  async *replay(
    caller: Caller,
    agent: AgentId,
    { start = 0, end = Number.MAX_SAFE_INTEGER }: { readonly start?: number; readonly end?: number },
  ): AsyncGenerator<AgentCommit> {
    const through = Math.min(end, this.lastCommit(caller));
    for (let after = Math.max(0, start - 1); after < through;) {
      const commits = await this.commits(caller, agent, { after, through });
      const last = commits.at(-1);
      if (last === undefined) return;
      yield* commits;
      after = last.commitTs;
    }
  }

  /** There must be a log to watch; reading needs none. */
  async makeReady(caller: Caller): Promise<void> {
    const log = logOf(caller);
    if (this.engine.head(log) !== undefined) return;
    await this.engine.transact(log, {}, (head) => decideOpenLog(head, log));
  }

  /** Calls back after something was committed. A hint, like the engine's. */
  watch(caller: Caller, moved: () => void): () => void {
    return this.engine.watch(logOf(caller), moved);
  }
}

function logOf({ principal }: Caller): LogId {
  return agentStateLog(principal.tenant);
}

function ownKey(entry: StateEntry): StateEntry {
  return { ...entry, key: decodeAgentKey(entry.key).key };
}

/** The log speaks of its own keys and seqs; who committed knows records. */
function inRecordTerms(error: unknown): unknown {
  if (!(error instanceof DaybookError) || error.code !== "state_conflict") return error;
  const { namespace, agent, key } = decodeAgentKey(String(error.details["key"]));
  const version = Number(error.details["current_version"]);
  const details: ErrorDetails = {
    ...{ namespace, agent_id: agent, key, current_version: version },
    current_commit_ts: error.details["current_seq"] ?? 0,
  };
  return new DaybookError(
    "state_conflict",
    `if_version does not hold: ${JSON.stringify(key)} of ${JSON.stringify(agent)} is at version ${version}.`,
    { details },
  );
}
