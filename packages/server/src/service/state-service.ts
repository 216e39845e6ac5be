import type { LogId } from "@daybook/core";
import type { StateEntry, StatePage, StateQuery } from "@daybook/engine";
import { seqAt } from "./seq-at.js";
import type { SessionService } from "./session-service.js";
import { diffState, type StateDifference } from "./state-diff.js";

/** State of sessions, as of any point. */
export class StateService {
  constructor(private readonly sessions: SessionService) {}

  /** The seq that `at` means; undefined for now. @throws DaybookError invalid_cursor */
  async seqAt(id: LogId, at: string | undefined): Promise<number | undefined> {
    if (at === undefined) return undefined;
    return seqAt(this.sessions.engine, id, at, this.sessions.lastSeq(id));
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
  diff(id: LogId, range: { from: number; to: number; prefix: string }): Promise<StateDifference[]> {
    return diffState(this.sessions.engine, id, range);
  }
}
