import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type EventBody, Random, startServer, type TestServer } from "@daybook/test-kit";
import { conversationPath, messagesFrom, say, tailOf, text, textOf } from "./support/conversation.js";

const ID = "long";

/** What was said, in order: the seq and the text. */
type Said = readonly [seq: number, content: string];

/** Messages by either dialect, one by one and in lists, with other events between them. */
async function talk(server: TestServer, random: Random, turns: number): Promise<Said[]> {
  await server.call("PUT", conversationPath(ID));
  const said: Said[] = [];
  let seq = 0;
  let producerSeq = 0;
  for (let turn = 0; turn < turns; turn++) {
    if (random.chance(0.4)) {
      await say(server, ID, `turn ${turn}`);
      said.push([++seq, `turn ${turn}`]);
      continue;
    }
    const events = Array.from({ length: random.between(1, 12) }, (_, index): EventBody => {
      const isMessage = random.chance(0.3);
      if (isMessage) said.push([seq + 1 + index, `turn ${turn}.${index}`]);
      return {
        type: isMessage ? "message" : random.pick(["message", "token", "messages"]),
        payload: isMessage ? text("assistant", `turn ${turn}.${index}`) : { n: index },
        producer_id: "agent",
        producer_seq: ++producerSeq,
      };
    });
    await server.append(ID, { events });
    seq += events.length;
  }
  return said;
}

async function checkPages(server: TestServer, said: readonly Said[], random: Random): Promise<void> {
  const lastSeq = said.at(-1)?.[0] ?? 0;
  for (let round = 0; round < 60; round++) {
    const limit = random.between(1, 60);
    const offset = random.upTo(said.length + 20);
    const from = random.upTo(lastSeq + 10);
    const end = Math.max(0, said.length - offset);
    const newest = await tailOf(server, ID, `?limit=${limit}&offset=${offset}`);
    expect(newest.map((message): Said => [message.seq, textOf(message)])).toEqual(
      said.slice(Math.max(0, end - limit), end),
    );
    const onwards = await messagesFrom(server, ID, `?limit=${limit}&from=${from}`);
    expect(onwards.map((message): Said => [message.seq, textOf(message)])).toEqual(
      said.filter(([seq]) => seq >= from).slice(0, limit),
    );
  }
}

describe("pages of a conversation", () => {
  test("are what a plain list says, with other events between, after a restart and on rebuilt views too", async () => {
    const random = new Random(20_300_131);
    await using first = await startServer();
    const said = await talk(first, random, 250);
    await checkPages(first, said, random);
    await first.close();
    {
      await using second = await startServer({ dataDir: first.dataDir });
      await checkPages(second, said, random);
      await second.close();
    }
    await rm(join(first.dataDir, "views"), { recursive: true });
    await using third = await startServer({ dataDir: first.dataDir });
    await checkPages(third, said, random);
  });

  test("read one after the other have every message once: backwards by offset, forwards by seq", async () => {
    await using server = await startServer({ store: "memory" });
    const said = await talk(server, new Random(7), 120);
    const seqs = said.map(([seq]) => seq);
    const backwards: number[] = [];
    for (;;) {
      const page = await tailOf(server, ID, `?limit=9&offset=${backwards.length}`);
      if (page.length === 0) break;
      backwards.unshift(...page.map(({ seq }) => seq));
    }
    expect(backwards).toEqual(seqs);
    const forwards: number[] = [];
    for (;;) {
      const page = await messagesFrom(server, ID, `?limit=9&from=${(forwards.at(-1) ?? -1) + 1}`);
      if (page.length === 0) break;
      forwards.push(...page.map(({ seq }) => seq));
    }
    expect(forwards).toEqual(seqs);
  });

  test("have 100 messages if nothing is said of it", async () => {
    await using server = await startServer({ store: "memory" });
    await server.call("PUT", conversationPath(ID));
    for (let from = 1; from <= 120; from += 60) {
      const events = Array.from({ length: 60 }, (_, index) => ({
        type: "message",
        payload: text("user", "hi"),
        producer_id: "p",
        producer_seq: from + index,
      }));
      await server.append(ID, { events });
    }
    expect((await tailOf(server, ID)).map(({ seq }) => seq)).toEqual(range(21, 120));
    expect((await messagesFrom(server, ID)).map(({ seq }) => seq)).toEqual(range(1, 100));
  });

  test("are whole however large they are", async () => {
    await using server = await startServer({ store: "memory" });
    await server.call("PUT", conversationPath(ID));
    const large = "x".repeat(700_000);
    for (let n = 0; n < 24; n++) await say(server, ID, `${n} ${large}`);
    const page = await tailOf(server, ID, "?limit=24");
    expect(page.map((message) => textOf(message).replace(large, ""))).toEqual(
      range(0, 23).map((n) => `${n} `),
    );
  });
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
