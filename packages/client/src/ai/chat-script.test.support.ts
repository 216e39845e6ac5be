import type { SessionEvent } from "../wire.js";
import type { ChunkLike, MessageLike } from "./chat-envelope.js";

export type Chunk = ChunkLike & Readonly<Record<string, unknown>>;

export interface Writer {
  readonly actor?: string;
  readonly producer?: string;
}

/** Writes down a chat as the events of a session, as they would be in a log. */
export class Script {
  readonly events: SessionEvent[] = [];

  event(
    type: string,
    payload: Readonly<Record<string, unknown>>,
    { actor = "agent:a", producer = `p-${actor}` }: Writer = {},
  ): this {
    const seq = this.events.length + 1;
    const event = { seq, type, actor, payload, producer_id: producer, producer_seq: seq };
    this.events.push(event as unknown as SessionEvent);
    return this;
  }

  message(message: MessageLike): this {
    const kind = "chat.user.message";
    return this.event(kind, { kind, message }, { actor: "user:alice" });
  }

  says(id: string, text: string): this {
    return this.message({ id, role: "user", parts: [{ type: "text", text }] });
  }

  chunks(chunks: readonly Chunk[], writer?: Writer): this {
    const kind = "chat.assistant.chunk";
    for (const chunk of chunks) this.event(kind, { kind, chunk }, writer);
    return this;
  }

  /** A whole answer. */
  answers(messageId: string, text: string, writer?: Writer): this {
    return this.chunks([{ type: "start", messageId }, ...words(text), { type: "finish" }], writer);
  }
}

/** A text in pieces, a word each. */
export function words(text: string): Chunk[] {
  const deltas = text.match(/\S+\s*/g) ?? [];
  return [
    { type: "text-start", id: "t" },
    ...deltas.map((delta) => ({ type: "text-delta", id: "t", delta })),
    { type: "text-end", id: "t" },
  ];
}
