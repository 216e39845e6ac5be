/** What one client did and saw. Times are ticks of one counter that all clients share: real-time order. */
export type Operation =
  | {
      readonly kind: "append";
      readonly start: number;
      readonly end: number;
      readonly seqs: readonly number[];
    }
  | {
      readonly kind: "read";
      readonly start: number;
      readonly end: number;
      readonly afterSeq: number;
      readonly events: readonly string[];
      readonly lastSeq: number;
    };

type Appended = Extract<Operation, { kind: "append" }>;
type Read = Extract<Operation, { kind: "read" }>;

/** A recorded concurrent history of one session. */
export class History {
  readonly operations: Operation[] = [];
  private ticks = 0;

  async append(command: () => Promise<readonly number[]>): Promise<void> {
    const start = ++this.ticks;
    const seqs = await command();
    this.operations.push({ kind: "append", start, end: ++this.ticks, seqs });
  }

  async read(afterSeq: number, query: () => Promise<{ events: string[]; lastSeq: number }>): Promise<void> {
    const start = ++this.ticks;
    const { events, lastSeq } = await query();
    this.operations.push({ kind: "read", start, end: ++this.ticks, afterSeq, events, lastSeq });
  }

  /**
   * Why no single order of these operations explains what was seen; undefined when one does. `log` is the session at
   * the end. A log is simple enough to check without a search: the seqs say which order it must have been.
   */
  whyNotLinearizable(log: readonly string[]): string | undefined {
    const appends = this.operations.filter((operation) => operation.kind === "append");
    const reads = this.operations.filter((operation) => operation.kind === "read");
    return brokenSeqs(appends, log.length) ?? brokenOrder(appends) ?? brokenReads(reads, appends, log);
  }
}

function brokenSeqs(appends: readonly Appended[], length: number): string | undefined {
  const seqs = appends.flatMap((append) => append.seqs).sort((one, other) => one - other);
  if (seqs.length !== length) return `${seqs.length} events were acknowledged, ${length} are there`;
  const wrong = seqs.findIndex((seq, index) => seq !== index + 1);
  return wrong < 0 ? undefined : `seq ${seqs[wrong] ?? 0} where ${wrong + 1} should be`;
}

/** What was answered before another was asked has the lower seqs. */
function brokenOrder(appends: readonly Appended[]): string | undefined {
  for (const first of appends) {
    const second = appends.find(
      ({ start, seqs }) => start > first.end && Math.min(...seqs) < Math.max(...first.seqs),
    );
    if (second !== undefined)
      return `seqs ${String(second.seqs)} were given after ${String(first.seqs)} were acknowledged`;
  }
  return undefined;
}

function brokenReads(
  reads: readonly Read[],
  appends: readonly Appended[],
  log: readonly string[],
): string | undefined {
  for (const { afterSeq, events, lastSeq, start, end } of reads) {
    const wrong = events.findIndex((event, index) => event !== log[afterSeq + index]);
    if (wrong >= 0) return `a read saw ${events[wrong] ?? ""} at seq ${afterSeq + wrong + 1}`;
    if (events.length === 0 && afterSeq < lastSeq)
      return `a read after ${afterSeq} of ${lastSeq} saw nothing`;
    const known = highest(appends.filter((append) => append.end < start));
    if (lastSeq < known) return `a read ended at ${lastSeq} when ${known} was acknowledged`;
    const asked = highest(appends.filter((append) => append.start < end));
    if (lastSeq > asked) return `a read ended at ${lastSeq} when only ${asked} were asked for`;
    const later = reads.find((read) => read.start > end && read.lastSeq < lastSeq);
    if (later !== undefined) return `a read ended at ${later.lastSeq} after one had ended at ${lastSeq}`;
  }
  return undefined;
}

const highest = (appends: readonly Appended[]): number =>
  appends.reduce((max, { seqs }) => Math.max(max, ...seqs), 0);
