import type { SessionEvent } from "../wire.js";
import { chunkOf, isEnd, userMessageOf, writerOf } from "./chat-envelope.js";

/**
 * Where in a page of events a turn begins such that nothing from there on belongs to an answer that began before the
 * page: what is before must wait for the page before it. Undefined: nowhere.
 *
 * What a writer's first chunks belong to shows at its first `start`, or after its first end.
 */
export function turnBoundary(events: readonly SessionEvent[]): number | undefined {
  const known = new Set<string>();
  let unsureUntil = -1;
  for (const [index, event] of events.entries()) {
    const chunk = chunkOf(event);
    const writer = writerOf(event);
    if (chunk === undefined || known.has(writer)) continue;
    if (chunk.type !== "start") unsureUntil = index;
    if (chunk.type === "start" || isEnd(chunk)) known.add(writer);
  }
  const boundary = events.findIndex(
    (event, index) => index > unsureUntil && userMessageOf(event) !== undefined,
  );
  return boundary < 0 ? undefined : boundary;
}
