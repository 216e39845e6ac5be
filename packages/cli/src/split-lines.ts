/**
 * One line of a byte stream, without its line feed. `continued`: the line was longer than the limit, this is a piece of
 * it, and the next line of this stream goes on with it. So the stream is: every `bytes`, each followed by a line feed
 * unless continued.
 */
export interface Line {
  readonly bytes: Buffer;
  readonly continued: boolean;
}

const LINE_FEED = 0x0a;

/**
 * Cuts a byte stream into lines, holding at most one limit of bytes.
 *
 * On bytes and not on text: a line feed is never part of a longer UTF-8 sequence, so a line is only decoded when it is
 * whole, and how the stream came in chunks cannot matter.
 */
export class LineSplitter {
  private held: Buffer[] = [];
  private heldBytes = 0;

  constructor(private readonly bytesMax: number) {}

  *push(chunk: Buffer): Generator<Line> {
    let start = 0;
    while (start < chunk.length) {
      const lineFeed = chunk.indexOf(LINE_FEED, start);
      const end = lineFeed === -1 ? chunk.length : lineFeed;
      const piece = chunk.subarray(start, end);
      // A copy of what is held on to: it must not keep the whole chunk it came in alive.
      this.hold(lineFeed === -1 ? Buffer.from(piece) : piece);
      while (this.heldBytes > this.bytesMax) yield this.cut();
      if (lineFeed === -1) return;
      yield { bytes: this.take(), continued: false };
      start = lineFeed + 1;
    }
  }

  /** The last line, if the stream did not end with a line feed. */
  *end(): Generator<Line> {
    if (this.heldBytes > 0) yield { bytes: this.take(), continued: false };
  }

  private hold(piece: Buffer): void {
    if (piece.length === 0) return;
    this.held.push(piece);
    this.heldBytes += piece.length;
  }

  private take(): Buffer {
    const bytes = this.held.length === 1 ? this.held[0] : undefined;
    const whole = bytes ?? Buffer.concat(this.held, this.heldBytes);
    this.held = [];
    this.heldBytes = 0;
    return whole;
  }

  private cut(): Line {
    const whole = this.take();
    const at = characterStart(whole, this.bytesMax);
    this.hold(whole.subarray(at));
    return { bytes: whole.subarray(0, at), continued: true };
  }
}

/** The last place up to `at` where a UTF-8 character begins; `at` itself if there is no such place near, as in no UTF-8. */
function characterStart(bytes: Buffer, at: number): number {
  for (let start = at; start > Math.max(0, at - 4); start--) {
    if (((bytes[start] ?? 0) & 0xc0) !== 0x80) return start;
  }
  return at;
}
