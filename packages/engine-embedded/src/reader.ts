import type { LogId, SessionHeader } from "@daybook/core";
import { decodeHeaderEntry } from "@daybook/core";
import { DaybookError } from "@daybook/protocol";
import {
  type ListPage,
  type ListQuery,
  type Page,
  type ReadLimits,
  type Session,
  StoredEvent,
} from "@daybook/engine";
import { findLogs, type FramePosition, type IndexRun, positionAt, type Views } from "@daybook/views";
import { splitEvents } from "./frame-format.js";
import { PositionMismatch, type ReadFrame } from "./frame-reads.js";
import { holderOf, lineageOf, type Stretch } from "./lineage.js";
import { type LiveLog, takeEvents } from "./live-log.js";
import type { LogTable } from "./log-table.js";
import { notFound } from "./refusals.js";
import type { Segments } from "./segments.js";
import type { EngineEvents } from "./settings.js";

const READ_AT_ONCE_BYTES = 1024 * 1024;
/** So many events are passed over sooner than a place is looked up in the index. */
const WALKED_MAX = 64;

/** Reads what is durable: from memory when it is recent, else from the files by position. */
export class Reader {
  constructor(
    private readonly segments: Segments,
    private readonly views: Views,
    private readonly table: LogTable,
    private readonly events: EngineEvents,
  ) {}

  read(id: LogId, afterSeq: number, limits: ReadLimits): Page | Promise<Page> {
    const log = this.table.find(id);
    const head = log?.durableHead;
    if (log === undefined || head === undefined || head.status === "deleted") throw notFound();
    const { lastSeq } = head;
    if (afterSeq >= lastSeq) return { events: [], lastSeq };
    const firstInMemory = log.firstSeqInMemory;
    if (firstInMemory !== undefined && afterSeq + 1 >= firstInMemory) {
      return { events: log.recent(afterSeq, limits), lastSeq };
    }
    return this.readFiles(log, afterSeq, lastSeq, limits);
  }

  async session(id: LogId): Promise<Session | undefined> {
    const log = this.table.find(id);
    const head = log?.durableHead;
    if (log === undefined || head === undefined || head.status === "deleted") return undefined;
    if (log.durableHeader !== undefined) return { id, head, header: log.durableHeader };
    if (log.durableHeaderAt === undefined) throw new Error("broken invariant: a session without a header");
    return { id, head, header: await this.headerAt(log.number, log.durableHeaderAt) };
  }

  /** As the views stand now. */
  async list(query: ListQuery): Promise<ListPage> {
    const { logs, next } = findLogs(this.views, query);
    const found = await Promise.all(logs.map((number) => this.listed(number)));
    const sessions = found.filter((session) => session !== undefined);
    return next === undefined ? { sessions } : { sessions, next };
  }

  headerAt(log: number, at: FramePosition): Promise<SessionHeader> {
    return this.verified(log, [{ log, position: at }], ([frame]) => {
      const kind = frame?.header.kind;
      if (frame === undefined || (kind !== "create" && kind !== "patch"))
        throw new PositionMismatch(`a frame of kind ${kind ?? "none"} where a header should be`);
      const entry = decodeHeaderEntry(kind, frame.payload.toString("utf8"));
      if (entry.kind !== "create" && entry.kind !== "patch") throw new Error("broken invariant: no header");
      return entry.header;
    });
  }

  /** One event's JSON, wherever it is. */
  async eventJson(log: LiveLog, seq: number): Promise<string> {
    const recent = holderOf(log, seq, this.table).recentJson(seq);
    if (recent !== undefined) return recent;
    const { events } = await this.readFiles(log, seq - 1, seq, { eventsMax: 1, bytesMax: 1 });
    if (events[0] === undefined) throw notFound();
    return events[0].bytes.toString("utf8");
  }

  /** Events by their seqs, which ascend: about a megabyte at a time, nobody holds more of them than that. */
  async *eventsAt(log: LiveLog, seqs: readonly number[]): AsyncGenerator<readonly StoredEvent[]> {
    for (let next = 0; next < seqs.length;) {
      const first = next;
      const frames: WantedFrame[] = [];
      let bytes = 0;
      for (const frame of this.framesAt(log, seqs, first)) {
        if (bytes >= READ_AT_ONCE_BYTES) break;
        next++;
        if (frames.at(-1) === frame) continue;
        frames.push(frame);
        bytes += frame.position.bytes;
      }
      // What is read most is recent, and waits for no file.
      const blocks = frames.length === 0 ? [] : await this.blocks(log, frames);
      if (blocks.length > 0) yield eventsWith(blocks, seqs.slice(first, next));
      for (; next < seqs.length && (seqs[next] as number) >= (log.firstSeqInMemory ?? Infinity); next++) {
        const [event] = log.recent((seqs[next] as number) - 1, { eventsMax: 1, bytesMax: 1 });
        if (event === undefined) throw notFound();
        yield [event];
      }
    }
  }

  /**
   * The frame of each event that is not in memory, from the first one on: walked to where they stand close together,
   * looked up where they do not.
   */
  private *framesAt(log: LiveLog, seqs: readonly number[], first: number): Generator<WantedFrame> {
    const firstInMemory = log.firstSeqInMemory ?? Infinity;
    let walk: Generator<WantedFrame> | undefined;
    let frame: WantedFrame | undefined;
    try {
      for (let index = first; index < seqs.length; index++) {
        const seq = seqs[index] as number;
        if (seq >= firstInMemory) return;
        if (frame === undefined || seq - lastSeqOf(frame) > WALKED_MAX) {
          walk?.return(undefined);
          walk = this.framesFrom(log, seq, seqs.at(-1) ?? seq);
          frame = undefined;
        }
        while (frame === undefined || lastSeqOf(frame) < seq) {
          const found = walk?.next();
          if (found?.done !== false) throw notFound();
          frame = found.value;
        }
        yield frame;
      }
    } finally {
      walk?.return(undefined);
    }
  }

  private *framesFrom(log: LiveLog, seq: number, lastSeq: number): Generator<WantedFrame> {
    for (const stretch of lineageOf(log, lastSeq, this.table)) {
      if (stretch.untilSeq >= seq) yield* this.frames(stretch, seq - 1);
    }
  }

  /** Where all frames of a log are, in order; not what it inherits. */
  *allPositions(log: LiveLog): Generator<FramePosition> {
    for (const run of this.runs(log, 0)) {
      for (let index = 0; index * 4 < run.positions.length; index++) yield positionAt(run.positions, index);
    }
  }

  /** Undefined for one that was deleted since the list was made. */
  private listed(number: number): Promise<Session | undefined> {
    return this.listedNow(number).catch((error: unknown) => {
      if (error instanceof DaybookError && error.code === "session_not_found") return undefined;
      throw error;
    });
  }

  private async listedNow(number: number): Promise<Session | undefined> {
    const log = this.table.resident(number);
    if (log?.id !== undefined) return this.session(log.id);
    // Not taken into memory: a list must not push out what is in use.
    const record = this.views.record(number);
    if (record?.headerAt === undefined || record.head.status === "deleted") return undefined;
    return { id: record.id, head: record.head, header: await this.headerAt(number, record.headerAt) };
  }

  private async readFiles(
    log: LiveLog,
    afterSeq: number,
    lastSeq: number,
    limits: ReadLimits,
  ): Promise<Page> {
    const wanted = this.positions(log, afterSeq, lastSeq, limits);
    return { events: takeEvents(await this.blocks(log, wanted), afterSeq, limits), lastSeq };
  }

  /** The frames that hold a session's events after `afterSeq`, no more than the limits can use. */
  private positions(log: LiveLog, afterSeq: number, lastSeq: number, limits: ReadLimits): WantedFrame[] {
    const wanted: WantedFrame[] = [];
    let bytes = 0;
    for (const stretch of lineageOf(log, Math.min(lastSeq, afterSeq + limits.eventsMax), this.table)) {
      if (stretch.untilSeq <= afterSeq) continue;
      for (const frame of this.frames(stretch, afterSeq)) {
        if (bytes > limits.bytesMax) return wanted;
        wanted.push(frame);
        bytes += frame.position.bytes;
      }
    }
    return wanted;
  }

  private *frames({ log, untilSeq, ...stretch }: Stretch, after: number): Generator<WantedFrame> {
    const afterSeq = Math.max(after, stretch.afterSeq);
    for (const run of this.runs(log, afterSeq + 1)) {
      let seq = run.nextSeq;
      for (let index = 0; index * 4 < run.positions.length; index++) {
        const position = positionAt(run.positions, index);
        if (seq > untilSeq) return;
        if (position.count > 0 && seq + position.count - 1 > afterSeq)
          yield { log: log.number, seq, untilSeq, position };
        seq += position.count;
      }
    }
  }

  /** Index runs from the one that holds `seq` on: those in the views, then those they do not have yet. */
  private *runs(log: LiveLog, seq: number): Generator<IndexRun> {
    const inMemory = [...log.finishedRuns, log.openRun];
    const firstOrdinal = inMemory[0]?.ordinal ?? 0;
    const start = inMemory.findLastIndex((run) => run.nextSeq <= seq);
    if (start < 0) {
      for (const run of this.views.runs(log.number, seq)) {
        if (run.ordinal >= firstOrdinal) break;
        yield run;
      }
    }
    yield* inMemory.slice(Math.max(0, start));
  }

  private blocks(log: LiveLog, wanted: readonly WantedFrame[]): Promise<ReadEvents[]> {
    return this.verified(log.number, wanted, (frames) =>
      frames.map((frame, index) => eventsOf(frame, wanted[index])),
    );
  }

  /** Reads frames for a log, its own or inherited, and uses them; what is not as it should be comes to light in here. */
  private async verified<Result>(
    reader: number,
    wanted: readonly { readonly log: number; readonly position: FramePosition }[],
    use: (frames: WholeFrame[]) => Result,
  ): Promise<Result> {
    try {
      const frames = await this.segments.readFrames(wanted.map(({ position }) => position));
      return use(frames.map((frame, index) => wholeFrame(frame, wanted[index]?.log)));
    } catch (error) {
      // Deleted since the read began: its payloads are being zeroed, or those it inherited.
      if (this.table.numbered(reader).durableHead?.status === "deleted") throw notFound();
      if (error instanceof PositionMismatch) {
        // Either the views are wrong, or the log is damaged: the next start rebuilds them, and then it shows.
        this.views.distrust();
        this.events.fatal(error);
      }
      throw new DaybookError("storage_unavailable", "The store could not read this. Try again in a moment.", {
        cause: error,
      });
    }
  }
}

interface WholeFrame extends ReadFrame {
  readonly payload: Buffer;
}

/** A frame to be read for its events, as far as `untilSeq`: behind that a fork goes its own way. */
interface WantedFrame {
  readonly log: number;
  readonly seq: number;
  readonly untilSeq: number;
  readonly position: FramePosition;
}

/** An event of a frame may be behind `untilSeq`; those are not the reader's. */
const lastSeqOf = ({ seq, untilSeq, position }: WantedFrame): number =>
  Math.min(untilSeq, seq + position.count - 1);

interface ReadEvents {
  readonly events: readonly StoredEvent[];
}

function wholeFrame({ header, payload }: ReadFrame, log: number | undefined): WholeFrame {
  if (header.log !== log)
    throw new PositionMismatch(`a frame of log ${header.log} where one of ${log ?? 0} should be`);
  if (payload === undefined) throw new PositionMismatch(`an erased payload in log ${log}`);
  return { header, payload };
}

function eventsOf({ header, payload }: WholeFrame, wanted: WantedFrame | undefined): ReadEvents {
  const { seq = 0, untilSeq = 0 } = wanted ?? {};
  if (header.seq !== seq) throw new PositionMismatch(`seq ${header.seq} where ${seq} should be`);
  const events = splitEvents(payload, header.count).map(
    (bytes, index) => new StoredEvent(seq + index, bytes),
  );
  return { events: events.slice(0, untilSeq - seq + 1) };
}

/** Those with one of these seqs; both ascend. */
function eventsWith(blocks: readonly ReadEvents[], seqs: readonly number[]): StoredEvent[] {
  const found: StoredEvent[] = [];
  for (const { events } of blocks) {
    for (const event of events) if (event.seq === seqs[found.length]) found.push(event);
  }
  return found;
}
