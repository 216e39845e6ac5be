import { requestHead } from "./load-connection.js";
import { openStream } from "./load-stream.js";
import type { TailConnection, TailOptions } from "./load-tail.js";
import type { Target } from "./load-task.js";

/** Stands once in every event that the generator makes. */
const MARK = Buffer.from('"producer_seq":');

/** A tail by server-sent events from the first event on. */
export async function openSseTail(
  target: Target,
  { path, onFrame, reading = true }: TailOptions & { readonly path: string },
): Promise<TailConnection> {
  const request = `${requestHead(target, `GET ${path}`)}accept: text/event-stream\r\n\r\n`;
  const counter = new MarkCounter(onFrame);
  const socket = await openStream(
    target,
    { request, status: 200 },
    () => (bytes, from, end) => counter.count(bytes.subarray(from, end)),
    { reading },
  );
  return { close: () => socket.destroy() };
}

/** Counts events by a member that each has once. */
class MarkCounter {
  /** The end of what was read, as long as it may be the beginning of a mark. */
  private rest = Buffer.alloc(0);

  constructor(private readonly onMark: () => void) {}

  count(bytes: Buffer): void {
    const edge = Buffer.concat([this.rest, bytes.subarray(0, MARK.length - 1)]);
    // A mark that lies whole in the new bytes is not in here: only as much of them is taken as it lacks.
    this.countIn(edge);
    this.countIn(bytes);
    this.rest = Buffer.from(
      bytes.length >= MARK.length - 1
        ? bytes.subarray(bytes.length - MARK.length + 1)
        : edge.subarray(Math.max(0, edge.length - MARK.length + 1)),
    );
  }

  private countIn(bytes: Buffer): void {
    for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + MARK.length)) this.onMark();
  }
}
