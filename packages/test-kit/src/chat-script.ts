import type { WireEvent } from "./api.js";

export interface ChatWriter {
  readonly actor?: string;
  readonly producer?: string;
}

/** What an answer in words is made of. */
export type TextChunk =
  | { readonly type: "start"; readonly messageId: string }
  | { readonly type: "text-start" | "text-end"; readonly id: string }
  | { readonly type: "text-delta"; readonly id: string; readonly delta: string }
  | { readonly type: "finish" };

/** Writes down a chat as the events of a session, as they would be in a log. */
export class ChatScript<Chunk, Message extends { readonly id: string }> {
  readonly events: WireEvent[] = [];

  event(
    type: string,
    payload: Readonly<Record<string, unknown>>,
    { actor = "agent:a", producer = `p-${actor}` }: ChatWriter = {},
  ): this {
    const seq = this.events.length + 1;
    this.events.push({
      seq,
      cursor: seq,
      tenant_id: "acme",
      inserted_at: new Date(Date.UTC(2026, 0, 1) + seq * 1000).toISOString(),
      type,
      actor,
      payload,
      producer_id: producer,
      producer_seq: seq,
      metadata: {},
      refs: {},
      idempotency_key: null,
    });
    return this;
  }

  message(message: Partial<Message> & Pick<Message, "id">, actor = "user:alice"): this {
    const kind = "chat.user.message";
    return this.event(kind, { kind, message: { role: "user", parts: [], ...message } }, { actor });
  }

  says(id: string, text: string, actor = "user:alice"): this {
    const kind = "chat.user.message";
    const message = { id, role: "user", parts: [{ type: "text", text }] };
    return this.event(kind, { kind, message }, { actor });
  }

  chunk(chunk: Chunk | TextChunk, writer?: ChatWriter): this {
    const kind = "chat.assistant.chunk";
    return this.event(kind, { kind, chunk }, writer);
  }

  chunks(chunks: readonly (Chunk | TextChunk)[], writer?: ChatWriter): this {
    for (const chunk of chunks) this.chunk(chunk, writer);
    return this;
  }

  answers(messageId: string, text: string, writer?: ChatWriter): this {
    return this.chunks(answer(messageId, text), writer);
  }

  stop(actor = "user:alice"): this {
    return this.event("chat.stop", { kind: "chat.stop" }, { actor });
  }
}

/** A whole answer of a few words. */
export const answer = (messageId: string, text: string): TextChunk[] => [
  ...beginning(messageId),
  ...words(text),
  ...ENDING,
];

export const beginning = (messageId: string): TextChunk[] => [
  { type: "start", messageId },
  { type: "text-start", id: "0" },
];

/** A text in pieces, a word each. */
export const words = (text: string): TextChunk[] =>
  text.split(/(?<= )/).map((delta) => ({ type: "text-delta", id: "0", delta }));

export const ENDING: readonly TextChunk[] = [{ type: "text-end", id: "0" }, { type: "finish" }];
