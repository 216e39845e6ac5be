import { parseJson, type RawJson } from "@daybook/protocol/parse-json";
import { randomUUID } from "node:crypto";
import { CommandFailure, ServerRefusal } from "./failures.js";
import type { ServerClient } from "./server-client.js";
import { checkSessionId } from "./session-calls.js";

export interface ConversationRecord {
  readonly version: number;
  readonly tombstoned: boolean;
}

/** A message as the server shows it: `text` is its JSON, as received. */
export interface ReceivedMessage {
  readonly seq: number;
  readonly role: string;
  readonly parts: readonly MessagePart[];
  readonly text: string;
}

export interface MessagePart {
  readonly type: string;
  readonly [name: string]: unknown;
}

/** @throws UsageFailure when no conversation can have this id. */
function conversationPath(id: string): string {
  checkSessionId(id);
  return `/v1/conversations/${encodeURIComponent(id)}`;
}

/** @throws ServerRefusal conversation_not_found */
export async function getConversation(client: ServerClient, id: string): Promise<ConversationRecord> {
  const text = await client.call({ method: "GET", path: conversationPath(id), repeatable: true });
  return JSON.parse(text) as ConversationRecord;
}

/** The conversation, created if it is not there. */
export async function openConversation(client: ServerClient, id: string): Promise<ConversationRecord> {
  try {
    return await getConversation(client, id);
  } catch (error) {
    if (!(error instanceof ServerRefusal) || error.code !== "conversation_not_found") throw error;
    const call = { method: "PUT", path: conversationPath(id), body: "{}", repeatable: true } as const;
    return JSON.parse(await client.call(call)) as ConversationRecord;
  }
}

/** The server's largest page. */
const PAGE_MAX = 1_000;

/** The newest messages, oldest first, in as many pages as it takes. */
export async function newestMessages(
  client: ServerClient,
  id: string,
  limit: number,
): Promise<readonly ReceivedMessage[]> {
  let messages: readonly ReceivedMessage[] = [];
  while (messages.length < limit) {
    const wanted = Math.min(PAGE_MAX, limit - messages.length);
    const path = `${conversationPath(id)}/tail?limit=${wanted}&offset=${messages.length}`;
    const page = await messagesAt(client, path);
    // What was appended meanwhile has moved the pages.
    const first = messages[0]?.seq ?? Number.POSITIVE_INFINITY;
    messages = [...page.filter(({ seq }) => seq < first), ...messages];
    if (page.length < wanted) break;
  }
  return messages;
}

/** A page of messages from a seq on. */
export function messagesFrom(
  client: ServerClient,
  id: string,
  from: number,
): Promise<readonly ReceivedMessage[]> {
  return messagesAt(client, `${conversationPath(id)}/messages?from=${from}`);
}

/** Appends a text of the user, once however often it has to be sent. @returns its seq */
export async function say(client: ServerClient, id: string, text: string): Promise<number> {
  const body = JSON.stringify({ message: { role: "user", parts: [{ type: "text", text }] } });
  const answer = await client.call({
    method: "POST",
    path: `${conversationPath(id)}/messages`,
    body,
    headers: { "idempotency-key": randomUUID() },
    repeatable: true,
  });
  return (JSON.parse(answer) as { seq: number }).seq;
}

const PAGE = { members: { messages: { items: "raw" } } } as const;
/** The server bounds nesting; this only keeps the stack safe. */
const DEPTH_MAX = 512;

async function messagesAt(client: ServerClient, path: string): Promise<readonly ReceivedMessage[]> {
  const text = await client.call({ method: "GET", path, repeatable: true });
  const { messages } = parseJson(text, PAGE, { depthMax: DEPTH_MAX }) as { messages?: readonly RawJson[] };
  if (!Array.isArray(messages)) throw new CommandFailure(`no messages: ${text.slice(0, 200)}`);
  return messages.map(({ text: json }: RawJson) => ({
    ...(JSON.parse(json) as Omit<ReceivedMessage, "text">),
    text: json,
  }));
}
