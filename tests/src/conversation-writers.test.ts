import { startServer, type TestServer } from "@daybook/test-kit";
import { expect, test } from "vitest";
import { conversationPath, messagesFrom, say, textOf, type WireMessage } from "./support/conversation.js";
import { PhoenixClient } from "./support/phoenix-client.js";

const WRITERS = 20;
const EACH = 15;
const ID = "busy";

/** Appends its messages, each onto the version it knows, and tries again on the one it is told. */
async function write(server: TestServer, writer: number): Promise<number[]> {
  const versions: number[] = [];
  let version = 0;
  for (let n = 0; n < EACH;) {
    const answer = await say(server, ID, `${writer}.${n}`, { if_version: version });
    if (answer.status === 201) {
      version = (answer.json as unknown as { version: number }).version;
      versions.push(version);
      n++;
      continue;
    }
    expect([answer.status, answer.json.error]).toEqual([409, "conflict"]);
    const current = Number(/\(current: (\d+)\)/.exec(answer.json.message)?.[1]);
    // Nobody is told of a version that is not ahead of the one that did not hold.
    expect(current).toBeGreaterThan(version);
    version = current;
  }
  return versions;
}

test("twenty writers that retry on conflicts lose nothing and double nothing, and all readers see one order", async () => {
  await using server = await startServer();
  await server.call("PUT", conversationPath(ID));
  using client = new PhoenixClient(server.url, { endpoint: "/socket" });
  const follower = await client.join(`conversation:${ID}`);
  const versions = await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(server, writer)));
  const total = WRITERS * EACH;
  expect(versions.flat().sort((one, other) => one - other)).toEqual(
    Array.from({ length: total }, (_, n) => n + 1),
  );
  const messages = await messagesFrom(server, ID, "?limit=1000");
  expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: total }, (_, n) => n + 1));
  for (const [writer, own] of versions.entries()) {
    const said = messages.filter((message) => textOf(message).startsWith(`${writer}.`));
    expect(said.map(textOf)).toEqual(Array.from({ length: EACH }, (_, n) => `${writer}.${n}`));
    expect(said.map(({ seq }) => seq)).toEqual(own);
  }
  await expect.poll(() => follower.of("message").length, { timeout: 20_000 }).toBe(total);
  const pushed = follower.of("message").map(({ seq, message }) => [seq, textOf(message as WireMessage)]);
  expect(pushed).toEqual(messages.map((message) => [message.seq, textOf(message)]));
});
