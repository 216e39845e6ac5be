import { compareKeys, type LogId } from "@daybook/core";
import type { Engine, StateEntry, StatePage } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";

/** One key's difference between two seqs. */
export interface StateDifference {
  readonly key: string;
  readonly kind: "added" | "changed" | "removed";
  readonly before?: StateEntry;
  readonly after?: StateEntry;
}

const KEYS_AT_ONCE = 500;
/** All of an answer is held in memory. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** What a key costs beside its name and values. */
const ENTRY_OVERHEAD_BYTES = 128;

/**
 * What changed between two seqs, key by key. The two states are walked side by side and never held: most of them is
 * alike, and may be of any size.
 * @throws DaybookError answer_too_large
 */
export async function diffState(
  engine: Engine,
  id: LogId,
  { from, to, prefix }: { from: number; to: number; prefix: string },
): Promise<StateDifference[]> {
  const differences: StateDifference[] = [];
  let bytes = 0;
  const valued = async (entry: StateEntry): Promise<StateEntry> => {
    const whole = (await engine.stateKey(id, entry.key, { version: entry.version })) ?? entry;
    bytes += ENTRY_OVERHEAD_BYTES + entry.key.length + (whole.value?.length ?? 0);
    if (bytes > ANSWER_BYTES_MAX) throw tooLarge();
    return whole;
  };
  const walks = [from, to].map((atSeq) => entriesAt(engine, id, atSeq, prefix)) as [Walk, Walk];
  for await (const [one, other] of pairedByKey(...walks)) {
    if (one?.version === other?.version) continue;
    differences.push({
      key: (one ?? other)?.key ?? "",
      kind: one === undefined ? "added" : other === undefined ? "removed" : "changed",
      ...(one !== undefined && { before: await valued(one) }),
      ...(other !== undefined && { after: await valued(other) }),
    });
  }
  return differences;
}

type Walk = AsyncGenerator<StateEntry, undefined>;

/** The entries of two walks in the order of their keys, those of one key together. */
async function* pairedByKey(
  before: Walk,
  after: Walk,
): AsyncGenerator<[before: StateEntry | undefined, after: StateEntry | undefined]> {
  let [one, other] = [(await before.next()).value, (await after.next()).value];
  while (one !== undefined || other !== undefined) {
    const order = one === undefined ? 1 : other === undefined ? -1 : compareKeys(one.key, other.key);
    yield [order <= 0 ? one : undefined, order >= 0 ? other : undefined];
    if (order <= 0) one = (await before.next()).value;
    if (order >= 0) other = (await after.next()).value;
  }
}

/** Without values: those of keys that are alike need not be read. */
async function* entriesAt(engine: Engine, id: LogId, atSeq: number, prefix: string): Walk {
  for (let after: string | undefined; ;) {
    const page: StatePage = await engine.state(id, {
      ...{ atSeq, prefix, limit: KEYS_AT_ONCE, keysOnly: true },
      ...(after !== undefined && { after }),
    });
    yield* page.entries;
    if (page.next === undefined) return;
    after = page.next;
  }
}

function tooLarge(): DaybookError {
  return new DaybookError(
    "answer_too_large",
    `What changed is over ${ANSWER_BYTES_MAX} bytes. Ask for less with prefix, or for points nearer to each other.`,
  );
}
