import { DaybookError } from "./errors.js";
import type { AgentStateEntry } from "./state-wire.js";
import type { JsonObject } from "./wire.js";

export interface WriteOptions {
  /** The version that the record must have; 0: it must not exist. Left out: that which `get` gave, if it was read. */
  readonly ifVersion?: number;
}

/** Whose record. */
export interface AgentName {
  readonly namespace: string;
  readonly agentId: string;
}

/** What a transaction sees and does of one agent. */
export interface AgentWrites {
  /**
   * A record, with what this transaction wrote to it; undefined if there is none. If the record is written after it was
   * read, the commit is refused when somebody else wrote it in between.
   */
  get<Value = JsonObject>(key: string): Promise<Value | undefined>;
  set(key: string, value: JsonObject, options?: WriteOptions): void;
  /** Leaves a tombstone, also where nothing was. */
  delete(key: string, options?: WriteOptions): void;
}

/** What `transaction(…)` hands to its function. Nothing happens before that returns. */
export interface AgentTransaction extends AgentWrites {
  /** Another agent's records, in the same transaction. */
  of(namespace: string, agentId: string): AgentWrites;
}

type ReadEntry = (name: AgentName, key: string) => Promise<AgentStateEntry | undefined>;

/** What a transaction knows of a record. */
interface Known {
  /** What it saw when it read it first: that stays true for all of its run. */
  reading?: Promise<AgentStateEntry | undefined>;
  /** What the record's version must be before the transaction. */
  ifVersion?: number;
  /** What the transaction itself made of it, as JSON text. */
  written?: { readonly value?: string };
}

/** Gathers what is to be committed in one call. */
export class StagedTransaction {
  /** JSON texts: what is done to a value later is not meant. */
  private readonly operations: string[] = [];
  private readonly records = new Map<string, Known>();
  private hasEnded = false;

  constructor(private readonly readEntry: ReadEntry) {}

  /** The operations as a JSON array. From now on there will be no others. */
  end(): string {
    this.hasEnded = true;
    return `[${this.operations.join(",")}]`;
  }

  of(name: AgentName): AgentWrites {
    return {
      get: async <Value>(key: string) => (await this.get(name, key)) as Value | undefined,
      set: (key, value, options) => this.add(name, key, textOf(value), options),
      delete: (key, options) => this.add(name, key, undefined, options),
    };
  }

  private async get(name: AgentName, key: string): Promise<unknown> {
    const known = this.known(name, key);
    if (known.written !== undefined)
      return known.written.value === undefined ? undefined : JSON.parse(known.written.value);
    known.reading ??= this.readEntry(name, key);
    const entry = await known.reading;
    known.ifVersion ??= entry?.version ?? 0;
    return entry?.value;
  }

  private add(
    name: AgentName,
    key: string,
    value: string | undefined,
    { ifVersion }: WriteOptions = {},
  ): void {
    const known = this.known(name, key);
    if (ifVersion !== undefined) known.ifVersion = ifVersion;
    known.written = value === undefined ? {} : { value };
    const { namespace, agentId: agent_id } = name;
    const head = JSON.stringify({ namespace, agent_id, key, if_version: known.ifVersion }).slice(0, -1);
    this.operations.push(value === undefined ? `${head},"delete":true}` : `${head},"value":${value}}`);
  }

  private known({ namespace, agentId }: AgentName, key: string): Known {
    if (this.hasEnded)
      throw new DaybookError("transaction_ended", "The transaction has ended: its function has returned.");
    const place = JSON.stringify([namespace, agentId, key]);
    let known = this.records.get(place);
    if (known === undefined) this.records.set(place, (known = {}));
    return known;
  }
}

/** @throws TypeError when it has no JSON, as undefined has none: what is not there is not to be taken for a delete */
function textOf(value: JsonObject): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text !== undefined) return text;
  throw new TypeError("A record is set to an object, its value; delete(key) deletes it.");
}
