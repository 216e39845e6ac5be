import { createContextKey } from "@connectrpc/connect";
import { DaybookError, LIMITS } from "@daybook/protocol";
import type { StateEntry } from "@daybook/engine";
import { readAgentId, readAgentKey, readPrefix, invalidState } from "../service/state-names.js";
import type { RpcContext } from "../http/grpc-unary.js";
import type { AgentState, RecordPage } from "../service/agent-state.js";
import type { Caller } from "../service/caller.js";
import type { StagedTransactions } from "../service/staged-transactions.js";
import type * as Wire from "../generated/statehouse/v1/statehouse_pb.js";
import type { ValueForm } from "./statehouse-wire.js";

/** Who calls, as the door found out. */
export const CALLER = createContextKey<Caller | undefined>(undefined);

export interface StatehouseParts {
  readonly state: AgentState;
  readonly transactions: StagedTransactions;
  readonly version: string;
}

/** What came in, with a value in the form that the service was registered with. */
type In<Message> = Omit<Message, "$typeName" | "$unknown" | "value"> & { readonly value?: unknown };

/** Many: values that stand together in one event are read with it, once. */
const KEYS_AT_ONCE = 5_000;
/** A key's and a record's frame in an answer, roughly. */
const ENTRY_OVERHEAD_BYTES = 16;

/** The service over one form of its messages. Errors are the table's; `rpc-errors.ts` puts them into gRPC's terms. */
export function statehouseMethods(parts: StatehouseParts, form: ValueForm) {
  return {
    health: () => ({ status: "ok" }),
    version: () => ({ version: parts.version, gitSha: "" }),
    ...transactionMethods(parts, form),
    ...readMethods(parts, form),
    ...listMethods(parts, form),
  };
}

function transactionMethods({ state, transactions }: StatehouseParts, form: ValueForm) {
  return {
    beginTransaction: ({ timeoutMs }: In<Wire.BeginTransactionRequest>, context: RpcContext) => ({
      txnId: transactions.begin(tenantOf(context), readTimeout(timeoutMs)),
    }),
    write: (request: In<Wire.WriteRequest>, context: RpcContext) => {
      if (request.value === undefined) throw invalidState("value is missing");
      const value = form.read(request.value);
      transactions.stage(tenantOf(context), request.txnId, { ...readTarget(request), value });
      return {};
    },
    delete: (request: In<Wire.DeleteRequest>, context: RpcContext) => {
      transactions.stage(tenantOf(context), request.txnId, readTarget(request));
      return {};
    },
    commit: async ({ txnId }: In<Wire.CommitRequest>, context: RpcContext) => {
      const caller = callerOf(context);
      const { commitTs } = await transactions.commit(caller.principal.tenant, txnId, (transaction) =>
        state.commit(caller, transaction, { id: txnId }),
      );
      return { commitTs: BigInt(commitTs) };
    },
    abort: ({ txnId }: In<Wire.AbortRequest>, context: RpcContext) => {
      transactions.abort(tenantOf(context), txnId);
      return {};
    },
  };
}

function readMethods({ state }: StatehouseParts, form: ValueForm) {
  return {
    getState: async (request: In<Wire.GetStateRequest>, context: RpcContext) =>
      recordAnswer(await state.get(callerOf(context), keyOf(request)), form),
    getStateAtVersion: async (request: In<Wire.GetStateAtVersionRequest>, context: RpcContext) => {
      const version = Number(request.version);
      const id = keyOf(request);
      return recordAnswer(
        version === 0 ? undefined : await state.get(callerOf(context), id, { version }),
        form,
      );
    },
    replay: async function* (request: In<Wire.ReplayRequest>, context: RpcContext) {
      const bounds = {
        ...(request.startTs !== undefined && { start: Number(request.startTs) }),
        ...(request.endTs !== undefined && { end: Number(request.endTs) }),
      };
      const agent = readAgentId(request.namespace, request.agentId);
      for await (const { id, commitTs, operations } of state.replay(callerOf(context), agent, bounds)) {
        context.signal.throwIfAborted();
        yield {
          txnId: id,
          commitTs: BigInt(commitTs),
          operations: operations.map(({ key, version = 0, value }) => ({
            ...{ key, version: BigInt(version) },
            ...(value !== undefined && { value: form.write(value) }),
          })),
        };
      }
    },
  };
}

function listMethods({ state }: StatehouseParts, form: ValueForm) {
  return {
    listKeys: async (request: In<Wire.ListKeysRequest>, context: RpcContext) => {
      const keys: string[] = [];
      const bound = new AnswerBound();
      for await (const { key } of entries(state, request, { prefix: "", keysOnly: true }, context)) {
        bound.add(Buffer.byteLength(key));
        keys.push(key);
      }
      return { keys };
    },
    scanPrefix: async (request: In<Wire.ScanPrefixRequest>, context: RpcContext) => {
      const found: unknown[] = [];
      const bound = new AnswerBound();
      const wanted = { prefix: readPrefix(request.prefix), keysOnly: false };
      for await (const entry of entries(state, request, wanted, context)) {
        const { value = "{}" } = entry;
        const written = form.write(value);
        // In binary the Struct is bytes already; it may be several times as long as its JSON.
        bound.add(Buffer.byteLength(entry.key) + (written instanceof Uint8Array ? written : value).length);
        found.push({ key: entry.key, value: written, ...versionOf(entry) });
      }
      return { entries: found };
    },
  };
}

/** The size of an answer that is put together, so that it can be given up early. */
class AnswerBound {
  private bytes = 0;

  /** @throws DaybookError answer_too_large */
  add(bytes: number): void {
    this.bytes += bytes + ENTRY_OVERHEAD_BYTES;
    if (this.bytes <= LIMITS.rpcAnswerBytesMax) return;
    throw new DaybookError(
      "answer_too_large",
      `The answer would be over ${LIMITS.rpcAnswerBytesMax} bytes. Scan by a longer prefix, or read pages over HTTP.`,
    );
  }
}

/** All records of an agent as of one commit, in order. */
async function* entries(
  state: AgentState,
  { namespace, agentId }: { readonly namespace: string; readonly agentId: string },
  wanted: { readonly prefix: string; readonly keysOnly: boolean },
  context: RpcContext,
): AsyncGenerator<StateEntry> {
  const agent = readAgentId(namespace, agentId);
  const caller = callerOf(context);
  const atSeq = state.lastCommit(caller);
  for (let after: string | undefined; ;) {
    context.signal.throwIfAborted();
    const page: RecordPage = await state.list(caller, agent, {
      ...{ ...wanted, atSeq, limit: KEYS_AT_ONCE },
      ...(after !== undefined && { after }),
    });
    yield* page.entries;
    if (page.next === undefined) return;
    after = page.next;
  }
}

function recordAnswer(entry: StateEntry | undefined, form: ValueForm) {
  if (entry === undefined) return { exists: false, version: 0n, commitTs: 0n };
  const { value } = entry;
  return {
    ...{ exists: !entry.deleted, ...versionOf(entry) },
    ...(value !== undefined && { value: form.write(value) }),
  };
}

const versionOf = ({ version, seq }: StateEntry) => ({ version: BigInt(version), commitTs: BigInt(seq) });

interface Target {
  readonly namespace: string;
  readonly agentId: string;
  readonly key: string;
  readonly ifVersion?: bigint | undefined;
}

const keyOf = ({ namespace, agentId, key }: Target) => readAgentKey(namespace, agentId, key);

function readTarget(target: Target) {
  const { ifVersion } = target;
  if (ifVersion !== undefined && ifVersion > Number.MAX_SAFE_INTEGER)
    throw invalidState("if_version is larger than any version");
  return { id: keyOf(target), ...(ifVersion !== undefined && { ifVersion: Number(ifVersion) }) };
}

function readTimeout(timeoutMs: bigint | undefined): number {
  if (timeoutMs === undefined) return LIMITS.transactionMsDefault;
  if (timeoutMs <= LIMITS.transactionMsMax) return Number(timeoutMs);
  throw invalidState(`timeout_ms is over ${LIMITS.transactionMsMax}, a day`);
}

function callerOf({ values }: RpcContext): Caller {
  const caller = values.get(CALLER);
  if (caller === undefined) throw new Error("broken invariant: nobody was let in");
  return caller;
}

const tenantOf = (context: RpcContext): string => callerOf(context).principal.tenant;
