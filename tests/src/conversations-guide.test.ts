import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startServer } from "@daybook/test-kit";
import { expect, test } from "vitest";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const GUIDE = readFileSync(`${REPOSITORY}docs/guides/conversations.md`, "utf8");

/** What stands in front of a server that is not started for a test. */
const BASE = "localhost:4000";

interface Snippet {
  readonly language: "sh" | "js";
  readonly code: string;
}

const snippets = [...GUIDE.matchAll(/```(sh|js)\n(.*?)```/gs)].map(
  ([, language, code]) => ({ language, code }) as Snippet,
);

/** Runs a snippet as a reader would, and answers what it printed, line by line. */
async function ran({ language, code }: Snippet, url: string): Promise<string[]> {
  const host = new URL(url).host.replace("127.0.0.1", "localhost");
  const here = code.replaceAll(BASE, host);
  const env = { ...process.env, DAYBOOK_BASE_URL: url };
  if (language === "sh") {
    const script = here.trim().replaceAll("\n", "\necho\n").replaceAll("curl ", "curl -sS ");
    return lines((await promisify(execFile)("bash", ["-ec", script], { cwd: REPOSITORY, env })).stdout);
  }
  // Beside the tests, so that it finds what they find.
  const file = fileURLToPath(new URL(`snippet-${process.pid}.mjs`, import.meta.url));
  await writeFile(file, here);
  try {
    return lines((await promisify(execFile)(process.execPath, [file], { env, timeout: 20_000 })).stdout);
  } finally {
    await rm(file);
  }
}

const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

test("every snippet of the guide to conversations does what stands beside it", async () => {
  // In the order of the guide, on one server.
  await using server = await startServer();
  const printed: string[][] = [];
  for (const snippet of snippets.slice(0, 8)) printed.push(await ran(snippet, server.url));
  const [begun, read, chatted, refused, retried, client, streamed, converted] = printed;
  expect(begun?.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { id: "demo-chat", version: 0, metadata: { channel: "web" } },
    { seq: 1, version: 1, token_count: 1 },
    { messages: [{ seq: 1, role: "user", parts: [{ type: "text", text: "Hello!" }] }] },
  ]);
  expect(read?.map((line) => (JSON.parse(line) as { messages: unknown[] }).messages.length)).toEqual([0, 1]);
  expect(chatted).toEqual(["user: Hello!"]);
  expect(refused).toEqual(['{"error":"conflict","message":"Version mismatch (current: 1)"}']);
  expect(GUIDE).toContain(refused?.[0]);
  expect(new Set(retried)).toEqual(new Set(['{"seq":2,"version":2,"token_count":4}']));
  expect(client).toEqual(["user: Where is my order?", "assistant: On its way."]);
  expect(streamed).toEqual(["user Is anybody there?"]);
  expect(converted).toEqual(['[{"role":"user","content":"Will it rain?"}]']);
  expect(GUIDE).toContain(begun?.[1]);

  // The channel's snippet ends when the conversation does, which is the last one.
  const [channel, end] = snippets.slice(8);
  if (channel === undefined || end === undefined) throw new Error("the guide has two more snippets");
  const followed = ran(channel, server.url);
  await ran(end, server.url);
  expect(await followed).toEqual(["1 user", "2 user"]);
  expect(snippets).toHaveLength(10);
});

test("its first lines name the server as `npm start` starts it, and need no change", () => {
  expect(GUIDE).toContain(
    `curl -X PUT http://${BASE}/v1/conversations/demo-chat -H "Content-Type: application/json" -d '{"metadata":{"channel":"web"}}'`,
  );
});
