import { parseJson, type RawJson } from "@daybook/protocol/parse-json";
import { CommandFailure } from "./failures.js";
import type { ServerClient } from "./server-client.js";
import { sessionPath } from "./session-calls.js";

export interface EventRange {
  readonly session: string;
  /** Read events after this seq … */
  readonly cursor: number;
  /** … up to and with this one. */
  readonly lastSeq: number;
}

const PAGE_EVENTS = 1_000;
const PAGE_SHAPE = { members: { events: { items: "raw" }, next_cursor: "value" } } as const;

/** One level for the page, one for its list, and what the server allows in an event is far below this. */
const DEPTH_MAX = 512;

/** Reads stored events page by page. @yields each event's JSON text exactly as the server has it. */
export async function* readEvents(client: ServerClient, range: EventRange): AsyncGenerator<string> {
  let cursor = range.cursor;
  while (cursor < range.lastSeq) {
    const limit = Math.min(PAGE_EVENTS, range.lastSeq - cursor);
    const path = `${sessionPath(range.session)}/events?cursor=${cursor}&limit=${limit}`;
    const text = await client.call({ method: "GET", path, repeatable: true });
    const page = parseJson(text, PAGE_SHAPE, { depthMax: DEPTH_MAX }) as { events: RawJson[] };
    if (page.events.length === 0) {
      throw new CommandFailure(`events ${cursor + 1} to ${range.lastSeq} of ${range.session} are not there`);
    }
    for (const event of page.events) yield event.text;
    cursor += page.events.length;
  }
}
