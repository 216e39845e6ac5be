import { APPENDS_BEFORE, dialectOf } from "./load-dialect.js";
import { type SessionSet, sessionId, type Target } from "./load-task.js";

/** A producer may begin anywhere; from here on every number has as many digits. */
export const FIRST_PRODUCER_SEQ = 1_000_000_001;

interface RequestShape {
  readonly target: Target;
  readonly sessions: SessionSet;
  readonly producer: string;
  readonly events: number;
  readonly eventBytes: number;
  readonly overSocket?: boolean | undefined;
}

/** An append made once; only digits change from one to the next. */
export class AppendRequest {
  private readonly bytes: Buffer;
  private readonly sessionAt: number;
  private readonly seqsAt: readonly number[];
  private readonly eventsPerRequest: number;
  /** Where the number of appends before stands; -1: it is not sent. */
  private readonly appendsAt: number;
  private readonly appendedStatus: number;

  constructor({ target, sessions, producer, events, eventBytes, overSocket }: RequestShape) {
    const event = eventJson(producer, eventBytes);
    const id = sessionId(sessions, 0);
    const dialect = dialectOf(target);
    const append = { id, producer, events: Array<string>(events).fill(event) };
    const frame = overSocket === true ? dialect.appendFrame?.(append) : undefined;
    this.bytes = frame ?? dialect.appendRequest(target, append);
    this.appendedStatus = dialect.appendedStatus;
    this.appendsAt = this.bytes.indexOf(APPENDS_BEFORE);
    this.sessionAt = this.bytes.indexOf(id) + sessions.prefix.length;
    this.seqsAt = placesOf(this.bytes, String(FIRST_PRODUCER_SEQ));
    this.eventsPerRequest = events;
  }

  /** The request for the n-th append (from 0) of this producer in a session. Valid until the next call. */
  fill(session: number, nth: number): Buffer {
    writeDigits(this.bytes, this.sessionAt, 7, session);
    let seq = FIRST_PRODUCER_SEQ + nth * this.eventsPerRequest;
    for (const at of this.seqsAt) writeDigits(this.bytes, at, 10, seq++);
    if (this.appendsAt >= 0) this.bytes.write(String(nth).padStart(APPENDS_BEFORE.length), this.appendsAt);
    return this.bytes;
  }

  isStored(status: number): boolean {
    return status === this.appendedStatus;
  }
}

/** An event as chat has them, filled up to a size. */
function eventJson(producer: string, bytes: number): string {
  const make = (text: string): string =>
    JSON.stringify({
      type: "message.delta",
      payload: { role: "assistant", text },
      producer_id: producer,
      producer_seq: FIRST_PRODUCER_SEQ,
    });
  const words = "the quick brown fox jumps over the lazy dog and reads what it wrote before it goes on; ";
  return make(words.repeat(1 + bytes / words.length).slice(0, Math.max(0, bytes - make("").length)));
}

function placesOf(bytes: Buffer, text: string): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at);
  return places;
}

function writeDigits(bytes: Buffer, at: number, digits: number, value: number): void {
  let left = value;
  for (let place = at + digits - 1; place >= at; place--) {
    bytes[place] = 48 + (left % 10);
    left = Math.floor(left / 10);
  }
}
