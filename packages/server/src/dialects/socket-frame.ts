import type { StoredEvent } from "@daybook/engine";

/**
 * WebSocket text frames (RFC 6455, 5.2), made once for all followers of a session:
 *
 *     0x81 (final, text) · length: 1, 3 or 9 bytes · payload        a server does not mask
 */
export function textFrame(pieces: readonly Buffer[]): Buffer {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(header + length);
  frame[0] = 0x81;
  if (header === 2) frame[1] = length;
  else if (header === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  let at = header;
  for (const piece of pieces) {
    frame.set(piece, at);
    at += piece.length;
  }
  return frame;
}

/** Frames of events handed out together: followers at the live end all get the same array. */
const framesOf = new WeakMap<readonly StoredEvent[], Buffer>();

/** One frame an event, one after the other. */
export function eventFrames(prefix: Buffer, events: readonly StoredEvent[]): Buffer {
  const frameOf = (event: StoredEvent): Buffer =>
    (event.socketFrame ??= textFrame([prefix, event.bytes.subarray(1)]));
  const [only] = events;
  // The usual case needs no entry in a map, which is dear to a garbage collector.
  if (only !== undefined && events.length === 1) return frameOf(only);
  const known = framesOf.get(events);
  if (known !== undefined) return known;
  const joined = Buffer.concat(events.map(frameOf));
  framesOf.set(events, joined);
  return joined;
}
