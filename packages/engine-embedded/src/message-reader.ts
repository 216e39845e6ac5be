import type { Head, LogId } from "@daybook/core";
import type { MessageQuery, StoredEvent } from "@daybook/engine";
import { lineageOf } from "./lineage.js";
import type { LogTable } from "./log-table.js";
import type { LiveLog } from "./live-log.js";
import type { Reader } from "./reader.js";
import { notFound } from "./refusals.js";

/**
 * Finds a session's messages in its index, which is whole at any time: what the views do not have yet is in memory. A
 * fork's begins with its ancestors'.
 */
export class MessageReader {
  constructor(
    private readonly table: LogTable,
    private readonly reader: Reader,
  ) {}

  async *messages(id: LogId, query: MessageQuery): AsyncGenerator<StoredEvent> {
    const log = this.table.find(id);
    const head = log?.durableHead;
    if (log === undefined || head === undefined || head.status === "deleted") throw notFound();
    for await (const events of this.reader.eventsAt(log, this.seqs(log, head, query))) yield* events;
  }

  private seqs(log: LiveLog, head: Head, query: MessageQuery): readonly number[] {
    // Counted up to where each log counts: an index may run ahead of that, and of what is durable.
    const countUpTo = (seq: number): number[] =>
      lineage.map(({ log: { messages }, untilSeq }) => messages?.countUpTo(Math.min(seq, untilSeq)) ?? 0);
    const lineage = lineageOf(log, head.lastSeq, this.table);
    const counts = countUpTo(head.lastSeq);
    const end = "offset" in query ? sum(counts) - query.offset : sum(counts);
    const first = Math.max(0, "offset" in query ? end - query.limit : sum(countUpTo(query.fromSeq - 1)));
    const seqs: number[] = [];
    let before = 0;
    for (const [index, count] of counts.entries()) {
      const [from, to] = [Math.max(first - before, 0), Math.min(end, first + query.limit) - before];
      for (const seq of lineage[index]?.log.messages?.seqs(from, Math.min(to, count)) ?? []) seqs.push(seq);
      before += count;
    }
    return seqs;
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
