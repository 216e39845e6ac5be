import { afterAll, beforeAll, expect, test } from "vitest";
import { LoadGenerator } from "../http-generator.js";
import { sessionId } from "../load-task.js";
import type { Contender } from "./contender.js";
import { describeEach } from "./each-contender.test.support.js";

const EVENT_BYTES = 400;
describeEach(
  (kind) => `the load generator and ${kind.name}`,
  (kind) => {
    let contender: Contender;
    let generator: LoadGenerator;

    beforeAll(async () => {
      generator = new LoadGenerator();
      contender = await kind.make();
      await contender.run();
    });
    afterAll(async () => {
      await generator[Symbol.asyncDispose]();
      await contender[Symbol.asyncDispose]();
    });

    const load = { eventsPerRequest: 1, eventBytes: EVENT_BYTES, warmUpSeconds: 0, seconds: 0.3 };

    test("every append is stored and seen once by who follows", async () => {
      const { target } = contender;
      const sessions = { prefix: "seen-", count: 4 };
      await generator.run({ kind: "create", target, sessions });
      const report = await generator.run({
        kind: "append",
        ...{ target, sessions, connections: 4, follow: true },
        ...load,
        requestsPerSecond: 200,
      });
      expect(report.refused).toBe(0);
      expect(report.requests).toBeGreaterThan(0);
      expect(report.seen.count).toBe(report.latency.count);
      expect(report.eventsInAll).toBe(60);
    });

    test("appends over a socket are stored as those over HTTP are, or it says that there is no such socket", async () => {
      const { target } = contender;
      const sessions = { prefix: "socket-", count: 3 };
      await generator.run({ kind: "create", target, sessions });
      const appending = generator.run({
        kind: "append",
        ...{ target, sessions, connections: 3, overSocket: true },
        ...load,
      });
      if (kind.promises.api !== "sessions") {
        await expect(appending).rejects.toThrow("no socket that takes appends");
        return;
      }
      const { refused, eventsInAll } = await appending;
      expect(refused).toBe(0);
      // What the sockets brought is there for other readers too.
      let stored = 0;
      for (let index = 0; index < sessions.count; index++) {
        const url = `${target.url}/v1/sessions/${sessionId(sessions, index)}/events?limit=1&before=9007199254740991`;
        const answer = await fetch(url, { headers: { authorization: `Bearer ${target.token ?? ""}` } });
        const { events } = (await answer.json()) as { readonly events: readonly { readonly seq: number }[] };
        stored += kind.promises.contiguous ? (events[0]?.seq ?? 0) : events.length;
      }
      expect(stored).toBe(kind.promises.contiguous ? eventsInAll : sessions.count);
    });

    test("a crowd gets each event once a follower, and a replay all of them", async () => {
      const { target } = contender;
      const sessions = { prefix: "crowd-", count: 1 };
      await generator.run({ kind: "create", target, sessions });
      const filling = { eventsPerSession: 200, eventsPerRequest: 50, eventBytes: EVENT_BYTES };
      await generator.run({ kind: "fill", target, sessions, ...filling });
      expect((await generator.run({ kind: "replay", target, sessions, events: 200 })).ms).toBeGreaterThan(0);
      await generator.run({ kind: "open_tails", target, sessions, tails: 3, reading: true });
      const report = await generator.run({
        kind: "fan_out",
        ...{ target, sessions, ...load, eventsPerRequest: 16, publishers: 2, eventsAheadMax: 1_000 },
      });
      expect(report.published).toBeGreaterThan(0);
      const { frames } = await generator.run({ kind: "close_tails" });
      expect(frames).toBeGreaterThanOrEqual(report.deliveries);
    });
  },
);
