import type { Append, Appended } from "@daybook/core";

/** What an append answers, as JSON: over REST and as a channel's reply. `durable` is the frontier now. */
export function appendAnswer({ batch }: Append, { results, lastSeq }: Appended, durable: number): string {
  const [first, last] = [results[0], results.at(-1)];
  if (first === undefined || last === undefined) throw new Error("broken invariant: an append of nothing");
  const committed = Math.max(lastSeq, durable);
  const frontier = `"last_seq":${lastSeq},"cursor":${last.seq},"committed_cursor":${committed}}`;
  return batch
    ? `{"results":${JSON.stringify(results)},${frontier}`
    : `{"seq":${first.seq},"deduped":${String(first.deduped)},${frontier}`;
}
