import type { LogId } from "@daybook/core";
import type { StateEntry, StatePage, StateQuery } from "@daybook/engine";
import { DaybookError, parseJson } from "@daybook/protocol";
import type { SessionService } from "./session-service.js";

/** One key's difference between two seqs. */
export interface StateDifference {
  readonly key: string;
  readonly kind: "added" | "changed" | "removed";
  readonly before?: StateEntry;
  readonly after?: StateEntry;
}

const KEYS_AT_ONCE = 500;

/** State of sessions, as of any point. */
export class StateService {
  constructor(private readonly sessions: SessionService) {}

  /**
   * The seq that `at` means: a seq, or a time — the last event inserted by then. 0 is before everything.
   * @throws DaybookError invalid_cursor
   */
  async seqAt(id: LogId, at: string | undefined): Promise<number | undefined> {
    if (at === undefined) return undefined;
    const lastSeq = this.sessions.lastSeq(id);
    if (/^(0|[1-9]\d{0,15})$/.test(at)) {
      const seq = Number(at);
      if (seq <= lastSeq) return seq;
      throw new DaybookError("invalid_cursor", `at is ${seq}, the session's last seq is ${lastSeq}.`, {
        details: { last_seq: lastSeq },
      });
    }
    const time = /^\d{4}-\d\d-\d\dT/.test(at) ? Date.parse(at) : Number.NaN;
    if (Number.isNaN(time)) {
      throw new DaybookError("invalid_cursor", "at must be a seq, or a time like 2030-01-31T12:00:00Z.");
    }
    return this.lastSeqBy(id, time, lastSeq);
  }

  page(id: LogId, query: StateQuery): Promise<StatePage> {
    return this.sessions.engine.state(id, query);
  }

  key(id: LogId, key: string, at: { atSeq?: number; version?: number }): Promise<StateEntry | undefined> {
    return this.sessions.engine.stateKey(id, key, at);
  }

  history(id: LogId, key: string, page: { after: number; limit: number }): Promise<readonly StateEntry[]> {
    return this.sessions.engine.stateHistory(id, key, page);
  }

  /** What changed between two seqs, key by key. */
  async diff(
    id: LogId,
    { from, to, prefix }: { from: number; to: number; prefix: string },
  ): Promise<StateDifference[]> {
    const [before, after] = await Promise.all([this.all(id, from, prefix), this.all(id, to, prefix)]);
    const differences: StateDifference[] = [];
    for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
      const [one, other] = [before.get(key), after.get(key)];
      if (one?.version === other?.version) continue;
      if (one === undefined) differences.push({ key, kind: "added", ...(other && { after: other }) });
      else if (other === undefined) differences.push({ key, kind: "removed", before: one });
      else differences.push({ key, kind: "changed", before: one, after: other });
    }
    return differences;
  }

  private async all(id: LogId, atSeq: number, prefix: string): Promise<Map<string, StateEntry>> {
    const entries = new Map<string, StateEntry>();
    for (let after: string | undefined; ;) {
      const page = await this.page(id, {
        atSeq,
        prefix,
        limit: KEYS_AT_ONCE,
        ...(after !== undefined && { after }),
      });
      for (const entry of page.entries) entries.set(entry.key, entry);
      if (page.next === undefined) return entries;
      after = page.next;
    }
  }

  /** Events are in the order of their times, so halving finds the last one by a time. */
  private async lastSeqBy(id: LogId, timeMs: number, lastSeq: number): Promise<number> {
    let [low, high] = [0, lastSeq];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const page = await this.sessions.page(id, middle - 1, 1);
      const event = page.events[0];
      const insertedAt = event === undefined ? Infinity : Date.parse(insertedAtOf(event.bytes));
      if (insertedAt <= timeMs) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

const INSERTED_AT = { members: { inserted_at: "value" } } as const;

function insertedAtOf(bytes: Buffer): string {
  return (parseJson(bytes.toString("utf8"), INSERTED_AT, { depthMax: 1000 }) as { inserted_at: string })
    .inserted_at;
}
