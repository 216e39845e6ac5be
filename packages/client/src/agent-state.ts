import { commitsOfEvents, commitsOfLines, readCommits } from "./agent-commits.js";
import { type AgentName, type AgentTransaction, StagedTransaction } from "./agent-transaction.js";
import type { Environment } from "./environment.js";
import { asDaybookError, DaybookError } from "./errors.js";
import type { Http } from "./http.js";
import {
  queryOf,
  type StateDiffOptions,
  type StateListOptions,
  type StatePoint,
  StateReader,
} from "./state-reader.js";
import type { AgentCommit, AgentStateEntry, StateDiff } from "./state-wire.js";

export interface TransactionOptions {
  /** How often the function is run again when somebody else wrote what it had read; 0 if left out. */
  readonly retries?: number;
}

export interface TransactionResult<Result> {
  /** What the function returned. */
  readonly result: Result;
  readonly txnId: string;
  /** Rises with every commit of the tenant. */
  readonly commitTs: number;
}

export interface ReplayOptions {
  /** From this commit_ts on; left out: from the first. */
  readonly startTs?: number;
  /** Up to and with this commit_ts; left out: all there is. */
  readonly endTs?: number;
  /** Ends the loop. */
  readonly signal?: AbortSignal;
}

export interface TailOptions {
  /** Commits after this commit_ts; 0 if left out: from the first. */
  readonly cursor?: number;
  /** Ends the loop. */
  readonly signal?: AbortSignal;
}

interface AgentStateOptions extends AgentName {
  readonly http: Http;
  readonly environment: Environment;
  readonly token: string | undefined;
}

const CONFLICT_DELAY_MAX_MS = 500;

/**
 * The records of one agent, all their versions, and the transactions that made them. Made by `daybook.agentState(…)`.
 *
 * @example
 * const memory = daybook.agentState("default", "researcher");
 * const { commitTs } = await memory.transaction(async (tx) => {
 *   const plan = await tx.get<{ step: number }>("plan");
 *   tx.set("plan", { step: (plan?.step ?? 0) + 1 });
 * }, { retries: 5 });
 * console.log(await memory.getAt("plan", commitTs));
 */
export class AgentState {
  readonly namespace: string;
  readonly agentId: string;
  private readonly path: string;
  private readonly reader: StateReader<AgentStateEntry>;

  constructor(private readonly options: AgentStateOptions) {
    this.namespace = options.namespace;
    this.agentId = options.agentId;
    this.path = pathOf(options);
    this.reader = this.readerOf(options);
  }

  /**
   * Commits what a function does: all of it, durable when this resolves, or nothing, if it throws. A record that the
   * function read and wrote is only written if nobody else wrote it meanwhile.
   *
   * @param run is run anew for each of the `retries`: let it do nothing else that counts
   * @throws what the function throws; DaybookError state_conflict, with `key` and `current_version`
   *
   * @example
   * await memory.transaction(async (tx) => {
   *   const from = (await tx.get<{ sum: number }>("account"))?.sum ?? 0;
   *   tx.set("account", { sum: from - 5 });
   *   tx.of("default", "other-agent").set("gift", { sum: 5 });
   * }, { retries: 10 });
   */
  async transaction<Result>(
    run: (tx: AgentTransaction) => Result | Promise<Result>,
    { retries = 0 }: TransactionOptions = {},
  ): Promise<TransactionResult<Result>> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.attempt(run);
      } catch (error) {
        if (asDaybookError(error).code !== "state_conflict" || tries > retries) throw error;
        await this.step(tries);
      }
    }
  }

  /**
   * A record as it is now.
   *
   * @param options this `version`, be it a tombstone
   * @returns undefined if it does not exist
   */
  get(key: string, options: { readonly version?: number } = {}): Promise<AgentStateEntry | undefined> {
    return this.reader.get(key, options);
  }

  /**
   * A record as of a commit_ts, or as of a time.
   *
   * @returns undefined if it did not exist then
   * @throws DaybookError invalid_cursor, if that commit is yet to come
   * @example
   * await memory.getAt("plan", new Date(Date.now() - 60_000));
   */
  getAt(key: string, at: StatePoint): Promise<AgentStateEntry | undefined> {
    return this.reader.get(key, { at });
  }

  /** The keys that exist, in the order of their bytes; all as of one commit. */
  async *keys(options: StateListOptions = {}): AsyncGenerator<string, void, undefined> {
    for await (const { key } of this.reader.list({ ...options, keys_only: true })) yield key;
  }

  /**
   * The records that exist, in the order of their keys; all as of one commit, however long the loop takes.
   *
   * @example
   * for await (const { key, value } of memory.scan({ prefix: "notes/", at: 7 })) console.log(key, value);
   */
  scan(options: StateListOptions = {}): AsyncGenerator<AgentStateEntry, void, undefined> {
    return this.reader.list(options);
  }

  /** All versions of a record, oldest first, tombstones too. */
  history(key: string): AsyncGenerator<AgentStateEntry, void, undefined> {
    return this.reader.history(key);
  }

  /** What changed between two points: commits, or times. */
  diff(options: StateDiffOptions = {}): Promise<StateDiff<AgentStateEntry>> {
    return this.reader.diff(options);
  }

  /** The tenant's newest commit; 0 before the first. */
  async lastCommit(): Promise<number> {
    const page = await this.read(`${this.path}?limit=1&keys_only=true`);
    return (page as { readonly commit_ts: number }).commit_ts;
  }

  /**
   * The agent's transactions in the order of their commits, as of now, with what each did to this agent's records. Read
   * at the pace of the loop; goes on over broken connections. Ends with the signal.
   *
   * @example
   * for await (const { commit_ts, operations } of memory.replay({ startTs: 3 })) console.log(commit_ts, operations);
   */
  replay({ startTs = 0, endTs, signal }: ReplayOptions = {}): AsyncGenerator<AgentCommit, void, undefined> {
    const open = (after: number): AsyncGenerator<AgentCommit, void, undefined> =>
      commitsOfLines(this.lines(`/replay${queryOf({ start_ts: after + 1, end_ts: endTs })}`, signal));
    return readCommits(
      this.options.http,
      { open, isLive: false },
      { cursor: Math.max(0, startTs - 1), signal },
    );
  }

  /**
   * The same, and then what is committed from now on. Ends with the signal.
   *
   * @throws DaybookError when nothing more can come: `unauthorized`, `invalid_cursor` …
   * @example
   * const cursor = await memory.lastCommit();
   * for await (const { operations } of memory.tail({ cursor, signal: AbortSignal.timeout(1_000) })) console.log(operations);
   */
  tail({ cursor = 0, signal }: TailOptions = {}): AsyncGenerator<AgentCommit, void, undefined> {
    const open = (after: number): AsyncGenerator<AgentCommit, void, undefined> =>
      commitsOfEvents(this.lines(`/tail${queryOf({ cursor: after })}`, signal));
    return readCommits(this.options.http, { open, isLive: true }, { cursor, signal });
  }

  private async attempt<Result>(
    run: (tx: AgentTransaction) => Result | Promise<Result>,
  ): Promise<TransactionResult<Result>> {
    const staged = new StagedTransaction((name, key) => this.readerOf(name).get(key, {}));
    const of = (namespace: string, agentId: string) => staged.of({ namespace, agentId });
    let result: Result;
    let operations: string;
    try {
      result = await run({ ...staged.of(this), of });
    } finally {
      operations = staged.end();
    }
    const { txn_id, commit_ts } = await this.commit(operations);
    return { result, txnId: txn_id, commitTs: commit_ts };
  }

  /** As a producer of its own, so that sending it again cannot commit it twice. */
  private async commit(operations: string): Promise<{ txn_id: string; commit_ts: number }> {
    const { http, environment, token } = this.options;
    const producer = JSON.stringify(environment.newId());
    const body = `{"operations":${operations},"producer_id":${producer},"producer_seq":1}`;
    const answer = await http.call({ method: "POST", path: "/v1/state/transactions", body, token });
    return answer as { txn_id: string; commit_ts: number };
  }

  /** Steps aside, so that those who met do not meet again. */
  private step(tries: number): Promise<void> {
    const { clock, random } = this.options.environment;
    const ms = random() * Math.min(CONFLICT_DELAY_MAX_MS, 2 ** tries);
    return new Promise((resolve) => void clock.after(ms, resolve));
  }

  private readerOf(name: AgentName): StateReader<AgentStateEntry> {
    const state = pathOf(name);
    return new StateReader((rest) => this.read(rest), { state, diff: `${state}/diff` });
  }

  private read(path: string): Promise<unknown> {
    const { http, token } = this.options;
    return http.call({ method: "GET", path, token });
  }

  private lines(rest: string, signal: AbortSignal | undefined): AsyncGenerator<string, void, undefined> {
    const { http, token } = this.options;
    return http.lines({ method: "GET", path: this.path + rest, token, signal });
  }
}

function pathOf({ namespace, agentId }: AgentName): string {
  // `fetch` would take them out of the path, and the call would be about something else.
  if ([namespace, agentId].some((name) => name === "." || name === ".."))
    throw new DaybookError("invalid_state", "namespace and agentId must not be . or ..");
  return `/v1/state/${encodeURIComponent(namespace)}/${encodeURIComponent(agentId)}`;
}
