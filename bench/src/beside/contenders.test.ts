import { once } from "node:events";
import { eventually } from "@daybook/test-kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { CONTENDERS } from "./beside.js";
import type { Contender } from "./contender.js";
import { daybook } from "./daybook-contender.js";

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

interface ReadEvent {
  readonly seq: number;
  readonly payload: unknown;
  readonly producer_seq: number;
}

function event(producerSeq: number, text = `event ${producerSeq}`): Record<string, unknown> {
  return { type: "note", payload: { text }, producer_id: "writer", producer_seq: producerSeq };
}

class Client {
  constructor(private readonly contender: Contender) {}

  private get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.contender.target.token ?? ""}` };
  }

  async post(path: string, body: unknown): Promise<Answer> {
    const answer = await fetch(this.contender.target.url + path, {
      method: "POST",
      headers: { ...this.headers, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Answer["body"] };
  }

  async events(id: string, query: string): Promise<readonly ReadEvent[]> {
    const url = `${this.contender.target.url}/v1/sessions/${id}/events?${query}`;
    const answer = await fetch(url, { headers: this.headers });
    return ((await answer.json()) as { events: ReadEvent[] }).events;
  }

  async tail(id: string, cursor: number): Promise<{ readonly events: ReadEvent[]; close(): void }> {
    const url = `${this.contender.target.url.replace("http", "ws")}/v1/sessions/${id}/tail?cursor=${cursor}`;
    const socket = new WebSocket(url, { headers: this.headers });
    const events: ReadEvent[] = [];
    socket.on("message", (data: Buffer) => events.push(JSON.parse(data.toString()) as ReadEvent));
    await once(socket, "open");
    return { events, close: () => socket.terminate() };
  }
}

const KINDS = await Promise.all(
  [daybook, ...CONTENDERS].map(async (kind) => ({ kind, missing: await kind.missing() })),
);

for (const { kind, missing } of KINDS) {
  const reason = missing === undefined ? "" : ` (skipped: it needs ${missing})`;
  describe.skipIf(missing !== undefined)(`${kind.name}${reason}`, () => {
    let contender: Contender;
    let client: Client;

    beforeAll(async () => {
      contender = await kind.make();
      await contender.run();
      client = new Client(contender);
    });
    afterAll(async () => contender[Symbol.asyncDispose]());

    const create = async (id: string): Promise<string> => {
      expect((await client.post("/v1/sessions", { id })).status).toBe(201);
      return `/v1/sessions/${id}/append`;
    };

    test("a session is created once, and only sessions take events", async () => {
      await create("once");
      expect((await client.post("/v1/sessions", { id: "once" })).status).toBe(409);
      expect((await client.post("/v1/sessions/nobody/append", event(1))).status).toBe(404);
      expect((await client.post("/v1/sessions/once/append", { type: "note" })).status).toBe(400);
    });

    test("nobody gets in without the key", async () => {
      const answer = await fetch(`${contender.target.url}/v1/sessions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: "Bearer guessed" },
        body: "{}",
      });
      expect(answer.status).toBe(401);
    });

    test("events are numbered, alone and in lists; a retry gets its first seq", async () => {
      const append = await create("numbers");
      expect(await client.post(append, event(1))).toMatchObject({
        status: 201,
        body: { seq: 1, deduped: false },
      });
      const list = { events: [event(2), event(3)] };
      const results = [2, 3].map((seq) => ({ seq, deduped: false }));
      expect(await client.post(append, list)).toMatchObject({ status: 201, body: { results, last_seq: 3 } });
      expect(await client.post(append, event(1))).toMatchObject({
        status: 201,
        body: { seq: 1, deduped: true },
      });
      expect(await client.post(append, { events: [event(3), event(4)] })).toMatchObject({
        status: 201,
        body: {
          results: [
            { seq: 3, deduped: true },
            { seq: 4, deduped: false },
          ],
        },
      });
      expect((await client.post(append, event(2, "something else"))).status).toBe(409);
      expect((await client.events("numbers", "cursor=0")).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    });

    test("a list with a conflict is refused whole", async () => {
      const append = await create("whole");
      await client.post(append, event(1));
      expect((await client.post(append, { events: [event(1, "other"), event(2)] })).status).toBe(409);
      expect(await client.events("whole", "cursor=0")).toHaveLength(1);
    });

    test("pages go forward from a cursor and end before a seq", async () => {
      const append = await create("pages");
      await client.post(append, { events: Array.from({ length: 10 }, (_, nth) => event(nth + 1)) });
      const seqs = async (query: string): Promise<number[]> =>
        (await client.events("pages", query)).map(({ seq }) => seq);
      expect(await seqs("cursor=3&limit=2")).toEqual([4, 5]);
      expect(await seqs("before=9&limit=3")).toEqual([6, 7, 8]);
      expect(await client.events("pages", "cursor=9")).toMatchObject([
        { seq: 10, payload: { text: "event 10" } },
      ]);
    });

    test("a tail replays and goes on live, without a gap or a repetition", async () => {
      const append = await create("tail");
      const total = 700;
      const appended = (async () => {
        for (let seq = 1; seq <= total; seq += 10) {
          const events = Array.from({ length: 10 }, (_, nth) => event(seq + nth));
          expect((await client.post(append, { events })).status).toBe(201);
        }
      })();
      await eventually("some are there", async () => (await client.events("tail", "limit=101")).length > 100);
      const tails = await Promise.all([
        client.tail("tail", 0),
        client.tail("tail", 50),
        client.tail("tail", 50),
      ]);
      await appended;
      for (const [index, tail] of tails.entries()) {
        const { events } = tail;
        const from = index === 0 ? 0 : 50;
        await eventually("all arrive", () => events.length >= total - from);
        expect(events.map(({ seq }) => seq)).toEqual(
          Array.from({ length: total - from }, (_, nth) => from + nth + 1),
        );
        tail.close();
      }
    });

    test("what was acknowledged is there after a crash, and its retry is known", async () => {
      const append = await create("crash");
      await Promise.all(
        Array.from({ length: 20 }, (_, nth) =>
          client.post(append, { ...event(1), producer_id: `writer-${nth}` }),
        ),
      );
      await contender.end("SIGKILL");
      await contender.run();
      const events = await client.events("crash", "cursor=0");
      expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, nth) => nth + 1));
      expect(await client.post(append, { ...event(1), producer_id: "writer-7" })).toMatchObject({
        body: { deduped: true },
      });
    });
  });
}
