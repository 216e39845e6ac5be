import type { LiveLog } from "./live-log.js";
import type { LogTable } from "./log-table.js";

/** One log's part of what a session shows: its events after `afterSeq`, up to `untilSeq`. */
export interface Stretch {
  readonly log: LiveLog;
  readonly afterSeq: number;
  readonly untilSeq: number;
}

/**
 * The logs that hold the events of a session up to a seq, oldest first: its ancestors', then its own. Each reaches to
 * where the next one was forked from it; one that was forked again before its own first event has no part in it.
 */
export function lineageOf(session: LiveLog, untilSeq: number, table: LogTable): Stretch[] {
  const stretches: Stretch[] = [];
  let end = untilSeq;
  for (let log: LiveLog | undefined = session; log !== undefined; log = table.parentOf(log)) {
    const afterSeq = log.head?.forkedFrom?.seq ?? 0;
    if (afterSeq >= end) continue;
    stretches.unshift({ log, afterSeq, untilSeq: end });
    end = afterSeq;
  }
  return stretches;
}

/** The log that holds an event of a session. */
export function holderOf(session: LiveLog, seq: number, table: LogTable): LiveLog {
  return lineageOf(session, seq, table).at(-1)?.log ?? session;
}
