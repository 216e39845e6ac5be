import type { ChatApp } from "./chat-app.js";

const BATCH = 1_000;
const BEGAN = Date.parse("2026-01-01T00:00:00Z");

export interface LongChat {
  readonly id: string;
  /** Questions and answers. */
  readonly messages: number;
  /** Of each answer. */
  readonly chunks: number;
}

/**
 * A chat with a long past: question 1, answer 1 … as they would stand there had they been said. It is one of the app's
 * chats only at the end, so that no agent answers all that anew.
 */
export async function fillChat(app: ChatApp, { id, messages, chunks }: LongChat): Promise<void> {
  await app.call("POST", "/v1/sessions", { id, title: "A long one" });
  const events: object[] = [];
  for (let turn = 1; turn <= messages / 2; turn++) {
    const message = { id: `q-${turn}`, role: "user", parts: [{ type: "text", text: `Question ${turn}` }] };
    events.push({ type: "chat.user.message", actor: "user:amber-heron-1", payload: { message } });
    for (const chunk of chunksOf(turn, chunks))
      events.push({ type: "chat.assistant.chunk", actor: "agent:scout", payload: { chunk } });
  }
  for (let first = 0; first < events.length; first += BATCH) {
    const batch = events.slice(first, first + BATCH).map((event, index) => whole(event, first + index + 1));
    const { status, text } = await app.call("POST", `/v1/sessions/${id}/import`, { events: batch });
    if (status !== 200) throw new Error(`import answered ${status}: ${text}`);
  }
  await app.call("PATCH", `/v1/sessions/${id}`, { metadata: { app: "chat" } });
}

function chunksOf(turn: number, count: number): object[] {
  const id = "t";
  const words = Array.from({ length: count - 4 }, (_, n) => ({ type: "text-delta", id, delta: ` word${n}` }));
  return [
    { type: "start" },
    { type: "text-start", id },
    { type: "text-delta", id, delta: `Answer ${turn}:` },
    ...words.slice(1),
    { type: "text-end", id },
    { type: "finish" },
  ];
}

function whole(event: object, seq: number): object {
  const { type, actor, payload } = event as { type: string; actor: string; payload: object };
  return {
    type,
    actor,
    payload: { kind: type, ...payload },
    seq,
    cursor: seq,
    tenant_id: "chat",
    producer_id: actor,
    producer_seq: seq,
    inserted_at: new Date(BEGAN + seq * 1_000).toISOString(),
    metadata: {},
    refs: {},
    idempotency_key: null,
  };
}
