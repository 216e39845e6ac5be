import type { Context } from "./context.js";
import { openObject, withProducer, writeObject } from "./event-text.js";
import { CommandFailure, Interrupted, messageOf, ServerRefusal } from "./failures.js";
import { type EndSignal, exitCodeOfSignal } from "./io.js";
import { batchBody, Outbox, OUTBOX_LIMITS, type Outgoing } from "./outbox.js";
import { type Progress, progressOn, showCount } from "./progress.js";
import { type NumberedLine, readLines } from "./read-lines.js";
import type { Patience } from "./server-client.js";
import { append, type AppendTo } from "./session-calls.js";

export interface StdinAppend {
  readonly json: boolean;
  /** What an event is that does not say otherwise itself. */
  readonly members: ReadonlyMap<string, string>;
  readonly isPlainText: boolean;
  readonly producerId: string;
  readonly fromLine: number;
}

interface Entry extends Outgoing {
  readonly lineNumber: number;
}

/** A server that is being restarted or upgraded is waited for. */
const PATIENCE_MS = 120_000;

/**
 * Appends an event for each line. An event's `producer_seq` is the number of its line, or rather of lines that are not
 * empty up to it: so the same input, with the same producer id, makes the same pairs again.
 */
export async function appendFromStdin(context: Context, to: AppendTo, job: StdinAppend): Promise<void> {
  const run = new StdinRun(context, to, job);
  const stopListening = context.io.onEndSignal((signal) => run.interrupt(signal));
  try {
    await run.toEnd();
  } finally {
    stopListening();
    run.progress.clear();
  }
  await context.print(run.summary());
}

class StdinRun {
  readonly progress: Progress;
  private readonly outbox = new Outbox<Entry>((batch) => this.send(batch));
  private readonly giveUp = new AbortController();
  private interruptedBy: EndSignal | undefined;
  private producerSeq = 0;
  private written = 0;
  private deduped = 0;
  private lastSeq = 0;
  private lastLineWritten: number;

  constructor(
    private readonly context: Context,
    private readonly to: AppendTo,
    private readonly job: StdinAppend,
  ) {
    this.progress = progressOn(context.io);
    this.lastLineWritten = job.fromLine - 1;
  }

  interrupt(signal: EndSignal): void {
    this.interruptedBy = signal;
    this.giveUp.abort();
    this.context.io.stdin.destroy();
  }

  async toEnd(): Promise<void> {
    try {
      // A bad line ends the input; the good ones before it are written all the same.
      await this.queueAll().finally(() => this.outbox.flushed());
      if (this.interruptedBy !== undefined) throw new Interrupted();
    } catch (error) {
      throw this.explain(error);
    }
  }

  summary(): string {
    const facts = { events: this.written, deduped: this.deduped, last_seq: this.lastSeq };
    if (this.job.json) return JSON.stringify(facts);
    return `events=${facts.events} deduped=${facts.deduped} last_seq=${facts.last_seq}`;
  }

  private async queueAll(): Promise<void> {
    // A log may hold anything; what calls itself JSON must be what it was meant to be.
    const rules = { bytesMax: OUTBOX_LIMITS.batchBytesMax, strictUtf8: !this.job.isPlainText };
    for await (const line of readLines(this.context.io.stdin, rules)) {
      if (line.text.trim() === "") continue;
      this.producerSeq++;
      if (line.number < this.job.fromLine) continue;
      this.outbox.add({ text: this.eventOf(line), lineNumber: line.number });
      await this.outbox.room();
      if (this.outbox.hasFailed) return;
    }
  }

  private eventOf(line: NumberedLine): string {
    const { members, isPlainText, producerId } = this.job;
    let own: Map<string, string>;
    try {
      own = isPlainText ? new Map([["payload", JSON.stringify({ text: line.text })]]) : openObject(line.text);
    } catch (error) {
      throw new CommandFailure(`line ${line.number} ${messageOf(error)}`);
    }
    const event = new Map([...members, ...own]);
    // Whoever numbers the events already knows best what makes a repetition of one.
    const isNumbered = own.has("producer_id") && own.has("producer_seq");
    return writeObject(isNumbered ? event : withProducer(event, producerId, this.producerSeq));
  }

  private async send(batch: readonly Entry[]): Promise<void> {
    try {
      await this.sendWhatIsGood(batch);
    } catch (error) {
      // Whoever writes to us may pause for hours; there is no use in waiting for another line.
      this.context.io.stdin.destroy();
      throw error;
    }
  }

  private async sendWhatIsGood(batch: readonly Entry[]): Promise<void> {
    try {
      await this.sendBatch(batch);
    } catch (error) {
      const index = refusedIndex(error);
      if (index === undefined) throw error;
      // A batch is all or nothing: without this, good lines before the bad one would be missing.
      if (index > 0) await this.sendBatch(batch.slice(0, index));
      throw atLine(batch[index]?.lineNumber, error);
    }
  }

  private async sendBatch(batch: readonly Entry[]): Promise<void> {
    const patience: Patience = {
      patienceMs: PATIENCE_MS,
      signal: this.giveUp.signal,
      onTrouble: (why) => {
        this.progress.clear();
        this.context.say(`${why}; trying again for ${PATIENCE_MS / 1000} s`);
      },
    };
    const answer = await append(this.to, batchBody(batch), patience);
    const body = JSON.parse(answer) as { results: { deduped: boolean }[]; last_seq: number };
    this.written += batch.length;
    this.deduped += body.results.filter(({ deduped }) => deduped).length;
    this.lastSeq = body.last_seq;
    this.lastLineWritten = batch.at(-1)?.lineNumber ?? this.lastLineWritten;
    this.progress.show(`${showCount(this.written)} events`);
  }

  private explain(error: unknown): CommandFailure {
    const signal = this.interruptedBy;
    const exitCode = error instanceof CommandFailure ? error.exitCode : undefined;
    const why = signal === undefined ? messageOf(error) : "interrupted";
    const upTo = this.lastLineWritten;
    const goOn = `go on with --producer-id ${this.job.producerId} --from-line ${upTo + 1}`;
    const stand = upTo < this.job.fromLine ? "no line was written" : `lines up to ${upTo} were written`;
    return new CommandFailure(
      `${why}\n${stand}; ${goOn}`,
      signal === undefined ? exitCode : exitCodeOfSignal(signal),
    );
  }
}

/** Which event of the batch the server did not take: it says so in `index`, or names the place in its message. */
function refusedIndex(error: unknown): number | undefined {
  if (!(error instanceof ServerRefusal)) return undefined;
  const { index } = error.details;
  if (typeof index === "number") return index;
  const named = /\bevents\[(\d+)\]/.exec(error.said)?.[1];
  return named === undefined ? undefined : Number(named);
}

function atLine(lineNumber: number | undefined, error: unknown): unknown {
  if (lineNumber === undefined || !(error instanceof ServerRefusal)) return error;
  // What stands at which place in a batch of ours means nothing to whoever wrote the lines.
  const said = error.said.replace(/^events\[\d+\](?:\.|: )?/, "");
  return new CommandFailure(`line ${lineNumber}: ${error.code} (${error.status}): ${said}`, error.exitCode);
}
