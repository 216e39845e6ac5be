import type { LogId } from "@daybook/core";
import type { Engine } from "@daybook/engine";
import { DaybookError, parseJson } from "@daybook/protocol";

/**
 * The seq that `at` means: a seq, or a time — the last event inserted by then. 0 is before everything.
 * @throws DaybookError invalid_cursor
 */
export async function seqAt(engine: Engine, id: LogId, at: string, lastSeq: number): Promise<number> {
  if (/^(0|[1-9]\d{0,15})$/.test(at)) {
    const seq = Number(at);
    if (seq <= lastSeq) return seq;
    throw new DaybookError("invalid_cursor", `at is ${seq}, the last one so far is ${lastSeq}.`, {
      details: { last_seq: lastSeq },
    });
  }
  const time = /^\d{4}-\d\d-\d\dT/.test(at) ? Date.parse(at) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new DaybookError(
      "invalid_cursor",
      "at must be a whole number, or a time like 2030-01-31T12:00:00Z.",
    );
  }
  return lastSeqBy(engine, id, time, lastSeq);
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
