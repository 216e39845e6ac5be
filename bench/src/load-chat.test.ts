import { expect, test } from "vitest";
import { fillStore } from "./engine-fill-store.js";
import { LoadGenerator } from "./http-generator.js";
import { BenchServer } from "./http-server.js";
import { sessionId } from "./load-task.js";

async function eventsOf({ target }: BenchServer, id: string): Promise<readonly { readonly seq: number }[]> {
  const answer = await fetch(`${target.url}/v1/sessions/${id}/events?limit=1000`, {
    headers: { authorization: `Bearer ${target.token ?? ""}` },
  });
  return ((await answer.json()) as { readonly events: readonly { readonly seq: number }[] }).events;
}

test("every token of a chat is seen by its reader, and the chat is in the session as it was recorded", async () => {
  await using server = await BenchServer.start({ auth: "jwt" });
  await using generator = new LoadGenerator();
  const sessions = { prefix: "chat-", count: 2 };
  const [chunksPerSecond, seconds] = [50, 0.4];
  const report = await generator.run({
    kind: "chat",
    ...{ target: server.target, sessions, chunksPerSecond, batchMs: 40, seconds },
    warmUpSeconds: 0.2,
  });
  // A due time that falls on the end of the time, give or take a rounding, may be one more.
  const due = (time: number): number => Math.round(sessions.count * chunksPerSecond * time);
  expect([0, 1, 2]).toContain(report.tokens - due(0.2 + seconds));
  expect([0, 1, 2]).toContain(report.seen.count - due(seconds));
  const stored = await Promise.all([0, 1].map((index) => eventsOf(server, sessionId(sessions, index))));
  expect(stored.flat()).toHaveLength(report.events);
});

test("a store that was filled without a server is what a server serves", async () => {
  await using server = await BenchServer.make({ auth: "jwt" });
  const sessions = { prefix: "filled-", count: 3 };
  const fill = { eventCount: 60, eventsPerAppend: 10, then: "close" } as const;
  await fillStore({ folder: server.folder, prefix: sessions.prefix, sessionCount: sessions.count, ...fill });
  await server.run();
  for (let index = 0; index < sessions.count; index++)
    expect(await eventsOf(server, sessionId(sessions, index))).toHaveLength(20);
});
