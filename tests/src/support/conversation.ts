import type { Api, CallAnswer } from "@daybook/test-kit";

/** A message as the wire shows it, parsed. */
export interface WireMessage {
  readonly seq: number;
  readonly role: string;
  readonly parts: readonly Record<string, unknown>[];
  readonly token_count: number;
  readonly metadata: Record<string, unknown>;
  readonly inserted_at: string;
}

export const conversationPath = (id: string): string => `/v1/conversations/${encodeURIComponent(id)}`;

export interface TextMessage {
  readonly role: string;
  readonly parts: readonly { readonly type: "text"; readonly text: string }[];
}

export function text(role: string, content: string): TextMessage {
  return { role, parts: [{ type: "text", text: content }] };
}

/** Appends a message of the user. */
export function say(
  api: Api,
  id: string,
  content: string,
  more: Record<string, unknown> = {},
): Promise<CallAnswer> {
  return api.call("POST", `${conversationPath(id)}/messages`, { message: text("user", content), ...more });
}

export async function tailOf(api: Api, id: string, query = ""): Promise<readonly WireMessage[]> {
  return messagesAt(api, `${conversationPath(id)}/tail${query}`);
}

export async function messagesFrom(api: Api, id: string, query = ""): Promise<readonly WireMessage[]> {
  return messagesAt(api, `${conversationPath(id)}/messages${query}`);
}

async function messagesAt(api: Api, path: string): Promise<readonly WireMessage[]> {
  const answer = await api.call("GET", path);
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.text}`);
  return (answer.json as unknown as { messages: WireMessage[] }).messages;
}

/** What a message says, its texts in a row. */
export function textOf(message: Pick<WireMessage, "parts">): string {
  return message.parts.map((part) => String(part["text"])).join("");
}
