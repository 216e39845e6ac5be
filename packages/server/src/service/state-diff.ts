import type { LogId } from "@daybook/core";
import type { Engine, StateEntry } from "@daybook/engine";
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
const VALUES_BYTES_MAX = 64 * 1024 * 1024;

/** What changed between two seqs, key by key. @throws DaybookError answer_too_large */
export async function diffState(
  engine: Engine,
  id: LogId,
  { from, to, prefix }: { from: number; to: number; prefix: string },
): Promise<StateDifference[]> {
  const [before, after] = await Promise.all([
    versionsAt(engine, id, from, prefix),
    versionsAt(engine, id, to, prefix),
  ]);
  const differences: StateDifference[] = [];
  let bytes = 0;
  const valued = async (entry: StateEntry): Promise<StateEntry> => {
    const whole = (await engine.stateKey(id, entry.key, { version: entry.version })) ?? entry;
    bytes += whole.value?.length ?? 0;
    if (bytes > VALUES_BYTES_MAX) throw tooLarge();
    return whole;
  };
  for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [one, other] = [before.get(key), after.get(key)];
    if (one?.version === other?.version) continue;
    differences.push({
      key,
      kind: one === undefined ? "added" : other === undefined ? "removed" : "changed",
      ...(one !== undefined && { before: await valued(one) }),
      ...(other !== undefined && { after: await valued(other) }),
    });
  }
  return differences;
}

/** Only the versions: most of two states are alike, and their values need not be read. */
async function versionsAt(
  engine: Engine,
  id: LogId,
  atSeq: number,
  prefix: string,
): Promise<Map<string, StateEntry>> {
  const entries = new Map<string, StateEntry>();
  for (let after: string | undefined; ;) {
    const page = await engine.state(id, {
      ...{ atSeq, prefix, limit: KEYS_AT_ONCE, keysOnly: true },
      ...(after !== undefined && { after }),
    });
    for (const entry of page.entries) entries.set(entry.key, entry);
    if (page.next === undefined) return entries;
    after = page.next;
  }
}

function tooLarge(): DaybookError {
  return new DaybookError(
    "answer_too_large",
    `What changed is over ${VALUES_BYTES_MAX} bytes. Ask for less with prefix, or for points nearer to each other.`,
  );
}
