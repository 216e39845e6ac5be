import type { LogId } from "@daybook/core";
import type { Engine } from "@daybook/engine";
import { DaybookError, parseJson } from "@daybook/protocol";

/**
 * The seq that a point means: a seq, or a time — the last event inserted by then. 0 is before everything.
 * @throws DaybookError invalid_cursor
 */
export async function seqAt(engine: Engine, id: LogId, point: string, lastSeq: number): Promise<number> {
  if (/^(0|[1-9]\d*)$/.test(point)) {
    const seq = Number(point);
    if (seq <= lastSeq) return seq;
    const shown = point.slice(0, 40);
    throw new DaybookError("invalid_cursor", `There is no ${shown} yet, the last one is ${lastSeq}.`, {
      details: { last_seq: lastSeq },
    });
  }
  const time = timeOf(point);
  if (time === undefined) {
    throw new DaybookError(
      "invalid_cursor",
      `A point is a whole number, or a time like 2030-01-31T12:00:00Z, not ${JSON.stringify(point.slice(0, 40))}.`,
    );
  }
  return lastSeqBy(engine, id, time, lastSeq);
}

/** RFC 3339: a time without its offset would be another one on another machine. */
const TIME = /^(\d{4}-\d\d-\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/i;

function timeOf(text: string): number | undefined {
  const day = TIME.exec(text)?.[1];
  // The 30th of February is read as the 2nd of March.
  if (day === undefined || !isDay(day)) return undefined;
  return Date.parse(text.toUpperCase());
}

function isDay(day: string): boolean {
  const time = Date.parse(day);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day);
}

/** Events are in the order of their times, so halving finds the last one by a time. */
async function lastSeqBy(engine: Engine, id: LogId, timeMs: number, lastSeq: number): Promise<number> {
  let [low, high] = [0, lastSeq];
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    const page = await engine.read(id, middle - 1, { eventsMax: 1, bytesMax: 1 });
    const event = page.events[0];
    const insertedAt = event === undefined ? Infinity : Date.parse(insertedAtOf(event.bytes));
    if (insertedAt <= timeMs) low = middle;
    else high = middle - 1;
  }
  return low;
}

const INSERTED_AT = { members: { inserted_at: "value" } } as const;

function insertedAtOf(bytes: Buffer): string {
  return (parseJson(bytes.toString("utf8"), INSERTED_AT, { depthMax: 1000 }) as { inserted_at: string })
    .inserted_at;
}
