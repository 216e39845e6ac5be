import { appendSeq, countSeqs, countSeqsUpTo, seqAt, type SeqRuns, takesSeq } from "@daybook/core";

/**
 * Which seqs a log's messages have: so that the newest hundred, or those that begin at some seq, are found at once,
 * however many other events lie between them and before.
 *
 *     chunk 0: ordinals 0 … 57     chunk 58: ordinals 58 … 99    …    the open chunk
 *     [1,1,40  90,2,18]            [130,3,42]                         kept in the head's record
 *
 * A conversation of messages alone is one run, and never has a second chunk.
 */
export interface MessageChunk {
  /** How many messages of the log stand before it. */
  readonly ordinal: number;
  readonly runs: SeqRuns;
}

/** Runs in a chunk: few enough to rewrite in the head's record, enough to keep the tree small. */
const CHUNK_RUNS = 16;

/** What the index is asked for when memory does not have it. */
export interface MessageRecords {
  /** The finished chunk that holds this ordinal, or the last one before it. */
  messageChunk(log: number, ordinal: number): MessageChunk | undefined;
}

const EMPTY: MessageChunk = { ordinal: 0, runs: [] };

/** The index of one log in memory: the open chunk, and those that the views do not have yet. */
export class MessageIndex {
  private readonly finished: MessageChunk[] = [];
  private open: { readonly ordinal: number; readonly runs: number[] };
  /** A flush holds the open chunk: it is copied before it changes again. */
  private isTaken = true;

  constructor(
    private readonly log: number,
    private readonly records: MessageRecords,
    stored: MessageChunk = EMPTY,
  ) {
    this.open = stored as MessageIndex["open"];
  }

  /** One more message. */
  add(seq: number): void {
    const { ordinal, runs } = this.open;
    if (runs.length === CHUNK_RUNS * 3 && !takesSeq(runs, seq)) {
      this.finished.push(this.open);
      this.open = { ordinal: ordinal + countSeqs(runs), runs: [] };
    } else if (this.isTaken) {
      this.open = { ordinal, runs: [...runs] };
    }
    this.isTaken = false;
    appendSeq(this.open.runs, seq);
  }

  /** The open chunk and the finished ones, for a flush. */
  take(): { readonly open: MessageChunk; readonly finished: readonly MessageChunk[] } {
    this.isTaken = true;
    return { open: this.open, finished: [...this.finished] };
  }

  /** The views have so many of the finished chunks now. */
  release(chunks: number): void {
    this.finished.splice(0, chunks);
  }

  /** How many messages have a seq up to this one. */
  countUpTo(seq: number): number {
    const inMemory = [...this.finished, this.open].findLast(({ runs }) => startsBy(runs, seq));
    if (inMemory !== undefined) return inMemory.ordinal + countSeqsUpTo(inMemory.runs, seq);
    // Halving over the ordinals of what only the views have.
    let [low, high] = [0, (this.finished[0] ?? this.open).ordinal];
    while (low < high) {
      const { ordinal, runs } = this.chunk((low + high) >>> 1);
      const end = ordinal + countSeqs(runs);
      if (!startsBy(runs, seq)) high = ordinal;
      else if ((seqAt(runs, end - ordinal - 1) ?? 0) <= seq) low = end;
      else return ordinal + countSeqsUpTo(runs, seq);
    }
    return low;
  }

  /** The seqs of the messages from one ordinal up to another, which is not among them. */
  *seqs(from: number, to: number): Generator<number> {
    let ordinal = from;
    while (ordinal < to) {
      const chunk = this.chunk(ordinal);
      const end = Math.min(to, chunk.ordinal + countSeqs(chunk.runs));
      if (ordinal >= end) return;
      for (; ordinal < end; ordinal++) yield seqAt(chunk.runs, ordinal - chunk.ordinal) as number;
    }
  }

  /** The chunk that holds an ordinal; the open one for those that are not there yet. */
  private chunk(ordinal: number): MessageChunk {
    const inMemory = [...this.finished, this.open].findLast((chunk) => chunk.ordinal <= ordinal);
    const chunk = inMemory ?? this.records.messageChunk(this.log, ordinal);
    if (chunk === undefined) throw new Error(`broken invariant: no chunk holds message ${ordinal}`);
    return chunk;
  }
}

function startsBy(runs: SeqRuns, seq: number): boolean {
  const [first] = runs;
  return first !== undefined && first <= seq;
}
