import type { Session } from "../session.js";
import type { SessionEvent } from "../wire.js";
import { turnBoundary } from "./turn-boundary.js";

const EVENTS_MAX = 20_000;
const PAGE_MAX = 1_000;

/** The events up to a seq, the newest of them if there are very many: then from where a turn begins. */
export async function historyTo(
  session: Pick<Session, "before">,
  seq: number,
  eventsMax = EVENTS_MAX,
): Promise<readonly SessionEvent[]> {
  let events: readonly SessionEvent[] = [];
  for (let first = seq + 1; first > 1;) {
    const boundary = events.length < eventsMax ? undefined : turnBoundary(events);
    if (boundary !== undefined) return events.slice(boundary);
    const page = await session.before(first, PAGE_MAX);
    events = [...page, ...events];
    first = page[0]?.seq ?? 1;
  }
  return events;
}
