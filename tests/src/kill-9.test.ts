import { deepStrictEqual } from "node:assert";
import { randomInt } from "node:crypto";
import { rm } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  eventBody,
  eventually,
  newDataDir,
  type ServerProcess,
  startServerProcess,
  type WireEvent,
} from "@daybook/test-kit";
import { openTail, type TailSocket } from "./support/tail-socket.js";

const ROUNDS = 25;
const SESSIONS = ["one", "two", "three"] as const;
const WRITERS_PER_SESSION = 3;
/** Rounds end once so many appends were acknowledged, give or take: early deaths and late ones. */
const ACKNOWLEDGED_MAX = 150;

const pairOf = (event: { producer_id: unknown; producer_seq: unknown }): string =>
  `${String(event.producer_id)}:${String(event.producer_seq)}`;

/** What the outside knows of one session: every promise that was made about it. */
class Promised {
  /** Pairs whose append was acknowledged, with the seq that was answered. */
  readonly acknowledged = new Map<string, number>();
  /** What a tail showed, by seq. */
  readonly shown = new Map<number, WireEvent>();
  /** What a read showed after the last start. */
  recovered: readonly WireEvent[] = [];
}

/** A client as it should be: numbers its events, and sends again what was not acknowledged. */
class Writer {
  private next = 1;
  private pending: readonly Record<string, unknown>[] | undefined;

  constructor(
    private readonly session: string,
    private readonly producer: string,
    private readonly promised: Promised,
  ) {}

  /** Writes until the server is gone. */
  async write(server: ServerProcess, acknowledged: () => void): Promise<void> {
    for (;;) {
      this.pending ??= this.compose();
      if (!(await this.send(server))) return;
      acknowledged();
    }
  }

  /** Sends what is pending; false when nobody answered. */
  async send(server: ServerProcess): Promise<boolean> {
    const { pending } = this;
    if (pending === undefined) return true;
    const answer = await server
      .append(this.session, pending.length === 1 ? pending[0] : { events: pending })
      .catch(() => undefined);
    if (answer === undefined) return false;
    expect(answer.status, answer.text).toBe(201);
    const results = pending.length === 1 ? [answer.json] : answer.json.results;
    for (const [index, { seq }] of results.entries())
      this.promised.acknowledged.set(pairOf(pending[index] as never), seq);
    this.pending = undefined;
    return true;
  }

  private compose(): Record<string, unknown>[] {
    const count = randomInt(4) === 0 ? randomInt(2, 30) : 1;
    return Array.from({ length: count }, () =>
      eventBody(this.next++, {
        producer_id: this.producer,
        payload: { text: "x".repeat(randomInt(2_000)), by: this.producer },
      }),
    );
  }
}

describe("kill -9", () => {
  let dataDir: string;
  beforeAll(async () => (dataDir = await newDataDir()));
  afterAll(() => rm(dataDir, { recursive: true, force: true }));

  const promised = new Map(SESSIONS.map((id) => [id, new Promised()]));
  const writers = SESSIONS.flatMap((id) =>
    Array.from(
      { length: WRITERS_PER_SESSION },
      (_, n) => new Writer(id, `${id}-${n}`, promised.get(id) as Promised),
    ),
  );

  /** Everything that was promised holds in what came back. */
  const checkRecovered = async (server: ServerProcess): Promise<void> => {
    for (const [id, promise] of promised) {
      const events = await server.allEvents(id);
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
      const pairs = new Map(events.map((event) => [pairOf(event), event.seq]));
      expect(pairs.size).toBe(events.length);
      // Collected, not expected one by one: there are tens of thousands.
      expect([...promise.acknowledged].filter(([pair, seq]) => pairs.get(pair) !== seq)).toEqual([]);
      const isChanged = ([seq, event]: [number, WireEvent]): boolean =>
        !isDeepStrictEqual(events[seq - 1], event);
      expect([...promise.shown].filter(isChanged)).toEqual([]);
      deepStrictEqual(events.slice(0, promise.recovered.length), promise.recovered);
      promise.recovered = events;
    }
  };

  const follow = async (server: ServerProcess, id: (typeof SESSIONS)[number]): Promise<TailSocket> => {
    const { shown } = promised.get(id) as Promised;
    return openTail(server.url, id, `?cursor=${shown.size}`);
  };

  /** A follower goes on where it was: what it gets continues what it has. */
  const remember = (id: (typeof SESSIONS)[number], tail: TailSocket): void => {
    const { shown } = promised.get(id) as Promised;
    for (const event of tail.events) {
      expect(event.seq).toBe(shown.size + 1);
      shown.set(event.seq, event);
    }
  };

  const checkHeaders = async (server: ServerProcess, round: number): Promise<void> => {
    if (round > 0) {
      const { json } = await server.call("GET", `/v1/sessions/round-${round - 1}`);
      expect([json.title, json.version]).toEqual([`title ${round - 1}`, 2]);
      const { seq = -1 } = json.forked_from ?? {};
      const shared = (promised.get("one") as Promised).recovered.slice(0, seq);
      expect(shared).toHaveLength(seq);
      expect(await server.allEvents(`round-${round - 1}`)).toEqual(shared);
    }
    if (round > 1) {
      expect((await server.call("GET", `/v1/sessions/round-${round - 2}`)).status).toBe(404);
      const { json } = await server.call("POST", "/v1/sessions", { id: `round-${round - 2}` });
      expect(json.error).toBe("session_deleted");
    }
    const { json } = await server.call("GET", "/v1/sessions?archived=all&limit=1000");
    const wanted = round === 0 ? SESSIONS : [...SESSIONS, `round-${round - 1}`];
    expect(json.sessions.map(({ id }) => id)).toEqual([...wanted].sort());
  };

  const changeHeaders = async (server: ServerProcess, round: number): Promise<void> => {
    const id = `round-${round}`;
    // A session that shares what another has by now.
    expect((await server.call("POST", "/v1/sessions/one/fork", { id })).status).toBe(201);
    expect((await server.call("PATCH", `/v1/sessions/${id}`, { title: `title ${round}` })).status).toBe(200);
    if (round > 0) expect((await server.call("DELETE", `/v1/sessions/round-${round - 1}`)).status).toBe(204);
  };

  const loadUntilKilled = async (server: ServerProcess): Promise<void> => {
    const tails = await Promise.all(SESSIONS.map((id) => follow(server, id)));
    let acknowledged = 0;
    const goal = randomInt(1, ACKNOWLEDGED_MAX);
    const writing = writers.map((writer) => writer.write(server, () => acknowledged++));
    await eventually(`${goal} appends are acknowledged`, () => acknowledged >= goal);
    await server.kill("SIGKILL");
    await Promise.all([...writing, ...tails.map(({ closed }) => closed)]);
    for (const [index, id] of SESSIONS.entries()) remember(id, tails[index] as TailSocket);
  };

  const rounds = Array.from({ length: ROUNDS }, (_, round) => round);
  test.each(rounds)("under load, round %i: nothing acknowledged or shown is lost", async (round) => {
    await using server = await startServerProcess({ dataDir });
    if (round === 0) for (const id of SESSIONS) await server.create({ id });
    await checkRecovered(server);
    await checkHeaders(server, round);
    await changeHeaders(server, round);
    await loadUntilKilled(server);
  });

  test("and what was never acknowledged, sent again, is there once", async () => {
    await using server = await startServerProcess({ dataDir });
    await checkRecovered(server);
    for (const writer of writers) expect(await writer.send(server)).toBe(true);
    await checkRecovered(server);
    for (const { acknowledged, recovered } of promised.values())
      expect(recovered).toHaveLength(acknowledged.size);
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
  });
});
