import { once } from "node:events";
import { eventually } from "@daybook/test-kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { Contender } from "./contender.js";
import { describeEach } from "./each-contender.test.support.js";

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

  async tail(
    id: string,
    cursor: number,
  ): Promise<{ readonly events: ReadEvent[]; readonly close: () => void }> {
    const url = `${this.contender.target.url.replace("http", "ws")}/v1/sessions/${id}/tail?cursor=${cursor}`;
    const socket = new WebSocket(url, { headers: this.headers });
    const events: ReadEvent[] = [];
    socket.on("message", (data: Buffer) => events.push(JSON.parse(data.toString()) as ReadEvent));
    await once(socket, "open");
    return { events, close: () => socket.terminate() };
  }
}

describeEach(
  (kind) => kind.name,
  (kind) => {
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

    test("an append that is sent again is not stored again", async () => {
      const append = await create("again");
      const seqs = async (): Promise<number[]> =>
        (await client.events("again", "cursor=0")).map(({ seq }) => seq);
      const list = { events: [event(2), event(3)] };
      const [one, many] = [await client.post(append, event(1)), await client.post(append, list)];
      expect(await client.post(append, event(1))).toMatchObject({
        status: 201,
        body: { seq: one.body["seq"], deduped: true },
      });
      expect(await client.post(append, list)).toMatchObject({
        status: 201,
        body: { last_seq: many.body["last_seq"] },
      });
      expect((await client.post(append, event(1, "something else"))).status).toBe(409);
      const numbers = await seqs();
      expect(numbers).toHaveLength(3);
      expect(numbers).toEqual(numbers.toSorted((left, right) => left - right));
    });

    test.runIf(kind.promises.contiguous)("sessions number their events from 1 on", async () => {
      const append = await create("counted");
      await client.post(append, event(1));
      await client.post(append, { events: [event(2), event(3)] });
      expect((await client.events("counted", "cursor=0")).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    });

    test.runIf(kind.promises.retriesOfEvents)(
      "a retried event is known in whatever list it comes",
      async () => {
        const append = await create("numbers");
        expect(await client.post(append, event(1))).toMatchObject({
          status: 201,
          body: { seq: 1, deduped: false },
        });
        const list = { events: [event(2), event(3)] };
        const results = [2, 3].map((seq) => ({ seq, deduped: false }));
        expect(await client.post(append, list)).toMatchObject({
          status: 201,
          body: { results, last_seq: 3 },
        });
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
      },
    );

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
      const all = await seqs("cursor=0");
      expect(all).toHaveLength(10);
      expect(await seqs(`cursor=${all[2] ?? 0}&limit=2`)).toEqual(all.slice(3, 5));
      expect(await seqs(`before=${all[8] ?? 0}&limit=3`)).toEqual(all.slice(5, 8));
      const last = await client.events("pages", `cursor=${all[8] ?? 0}`);
      expect(last).toMatchObject([{ seq: all[9], payload: { text: "event 10" } }]);
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
      const from = (await client.events("tail", "limit=50")).at(-1)?.seq ?? 0;
      const tails = await Promise.all([
        client.tail("tail", 0),
        client.tail("tail", from),
        client.tail("tail", from),
      ]);
      await appended;
      for (const [index, { events, close }] of tails.entries()) {
        const first = index === 0 ? 1 : 51;
        await eventually("all arrive", () => events.length >= total - first + 1);
        const numbers = Array.from({ length: total - first + 1 }, (_, nth) => first + nth);
        expect(events.map(({ producer_seq: number }) => number)).toEqual(numbers);
        expect(events.every(({ seq }, at) => seq > (events[at - 1]?.seq ?? (index === 0 ? 0 : from)))).toBe(
          true,
        );
        close();
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
      expect(new Set(events.map(({ seq }) => seq)).size).toBe(20);
      expect(await client.post(append, { ...event(1), producer_id: "writer-7" })).toMatchObject({
        body: { deduped: true },
      });
    });
  },
  ({ promises }) => promises.api === "sessions",
);
