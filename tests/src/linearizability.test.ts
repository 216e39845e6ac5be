import { describe, expect, test } from "vitest";
import { Api, eventBody, eventually, startServerProcess, type WireEvent } from "@daybook/test-kit";
import { openTail } from "./support/tail-socket.js";

/** When a call was made and when its answer had come. */
interface Span {
  readonly began: number;
  readonly ended: number;
}

interface AppendCall extends Span {
  readonly seqs: readonly number[];
}

/** Somebody learned that the session had at least, or exactly, this many events. */
interface Look extends Span {
  readonly what: string;
  readonly lastSeq: number;
}

/** Everything that clients of one session did and saw, with times of one clock. */
class History {
  readonly appends: AppendCall[] = [];
  readonly looks: Look[] = [];
  readonly pages: { readonly after: number; readonly events: readonly WireEvent[] }[] = [];

  async timed<Value>(call: () => Promise<Value>): Promise<Span & { value: Value }> {
    const began = performance.now();
    const value = await call();
    return { began, ended: performance.now(), value };
  }
}

const APPENDS_PER_WRITER = 60;

async function appendBatches(api: Api, id: string, history: History, writer: number): Promise<void> {
  for (let n = 0, producerSeq = 1; n < APPENDS_PER_WRITER; n++) {
    const count = n % 5 === 0 ? 3 : 1;
    const events = Array.from({ length: count }, () =>
      eventBody(producerSeq++, { producer_id: `w${writer}` }),
    );
    const { began, ended, value } = await history.timed(() =>
      api.append(id, count === 1 ? events[0] : { events }),
    );
    expect(value.status, value.text).toBe(201);
    const seqs = count === 1 ? [value.json.seq] : value.json.results.map(({ seq }) => seq);
    history.appends.push({ began, ended, seqs });
    history.looks.push({
      began,
      ended,
      what: "the frontier of an append",
      lastSeq: value.json.committed_cursor,
    });
  }
}

/** Appends only what follows on what it last knew: a compare and swap that mostly loses. */
async function compareAndAppend(api: Api, id: string, history: History): Promise<void> {
  let expected = 0;
  for (let wins = 0, n = 1; wins < 10 && n < 2_000; n++) {
    const body = eventBody(wins + 1, { producer_id: "cas", expected_seq: expected });
    const { began, ended, value } = await history.timed(() => api.append(id, body));
    if (value.status === 201) {
      expect(value.json.seq).toBe(expected + 1);
      history.appends.push({ began, ended, seqs: [value.json.seq] });
      expected = value.json.seq;
      wins++;
    } else {
      expect(value.json.error).toBe("expected_seq_conflict");
      expect(value.json.current_seq).not.toBe(expected);
      history.looks.push({ began, ended, what: "a conflict", lastSeq: value.json.current_seq });
      expected = value.json.current_seq;
    }
  }
}

async function readPages(api: Api, id: string, history: History, done: () => boolean): Promise<void> {
  while (!done()) {
    for (let after = 0; ;) {
      const { began, ended, value } = await history.timed(() => api.events(id, `?cursor=${after}&limit=100`));
      expect(value.status, value.text).toBe(200);
      const { events, last_seq: lastSeq } = value.json;
      history.pages.push({ after, events });
      history.looks.push({ began, ended, what: "a read", lastSeq });
      if (events.length === 0) break;
      after += events.length;
    }
    const { began, ended, value } = await history.timed(() => api.call("GET", `/v1/sessions/${id}`));
    history.looks.push({ began, ended, what: "a record", lastSeq: value.json.last_seq });
  }
}

/** Real time: what ended before something began is in it; what began after it ended is not. */
function checkLooks(history: History): void {
  const byEnd = [...history.appends].sort((one, other) => one.ended - other.ended);
  const byBegin = [...history.appends].sort((one, other) => one.began - other.began);
  for (const { began, ended, what, lastSeq } of history.looks) {
    const before = byEnd.filter((append) => append.ended < began).flatMap(({ seqs }) => seqs);
    const after = byBegin.filter((append) => append.began > ended).flatMap(({ seqs }) => seqs);
    expect(lastSeq, `${what} misses an append that had ended`).toBeGreaterThanOrEqual(Math.max(0, ...before));
    expect(lastSeq, `${what} has an append that had not begun`).toBeLessThan(Math.min(Infinity, ...after));
  }
}

function checkOrderOfAppends({ appends }: History): void {
  for (const one of appends)
    for (const other of appends)
      if (one.ended < other.began) expect(Math.max(...one.seqs)).toBeLessThan(Math.min(...other.seqs));
}

describe("what clients of one session see, recorded and judged", () => {
  test.each(["embedded", "memory"] as const)("is one order in real time, on the %s store", async (store) => {
    await using server = await startServerProcess({ store });
    const id = await server.create();
    const history = new History();
    const followers = await Promise.all([
      openTail(server.url, id),
      openTail(server.url, id, "?batch_size=7"),
    ]);
    let writing = true;
    const readers = [1, 2, 3].map(() => readPages(new Api(server.url), id, history, () => !writing));
    await Promise.all([
      ...[1, 2, 3, 4].map((writer) => appendBatches(new Api(server.url), id, history, writer)),
      compareAndAppend(new Api(server.url), id, history),
    ]);
    writing = false;
    await Promise.all(readers);

    const truth = await server.allEvents(id);
    const seqs = history.appends.flatMap((append) => append.seqs).sort((one, other) => one - other);
    expect(seqs).toEqual(truth.map((_, index) => index + 1));
    expect(truth.map(({ seq }) => seq)).toEqual(seqs);
    checkOrderOfAppends(history);
    checkLooks(history);
    for (const { after, events } of history.pages)
      expect(events).toEqual(truth.slice(after, after + events.length));
    for (const follower of followers) {
      await eventually("a follower has it all", () => follower.events.length === truth.length);
      expect(follower.events).toEqual(truth);
      follower[Symbol.dispose]();
    }
    const times = truth.map((event) => event.inserted_at);
    expect(times).toEqual([...times].sort());
  });
});
