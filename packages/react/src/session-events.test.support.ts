import type { JsonObject, SessionEvent } from "@daybook/client";
import type { UIMessage, UIMessageChunk } from "ai";
import { readUIMessageStream } from "ai";
import { readUIMessageStream as readV5 } from "ai-v5";
import { readUIMessageStream as readV7 } from "ai-v7";
import type { MessageReader } from "./answer.js";

/** The readers of all majors that are supported. */
export const READERS: readonly (readonly [string, MessageReader<UIMessage>])[] = [
  ["ai 5", readV5 as unknown as MessageReader<UIMessage>],
  ["ai 6", readUIMessageStream],
  ["ai 7", readV7],
];

export interface Writer {
  readonly actor?: string;
  readonly producer?: string;
}

/** Writes down a session's events, as they would be in a log. */
export class Script {
  readonly events: SessionEvent[] = [];

  event(
    type: string,
    payload: JsonObject,
    { actor = "agent:a", producer = `p-${actor}` }: Writer = {},
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

  message(message: Partial<UIMessage> & Pick<UIMessage, "id">, actor = "user:alice"): this {
    const kind = "chat.user.message";
    return this.event(kind, { kind, message: { role: "user", parts: [], ...message } }, { actor });
  }

  says(id: string, text: string, actor?: string): this {
    return this.message({ id, parts: [{ type: "text", text }] }, actor);
  }

  chunk(chunk: UIMessageChunk, writer?: Writer): this {
    const kind = "chat.assistant.chunk";
    return this.event(kind, { kind, chunk }, writer);
  }

  chunks(chunks: readonly UIMessageChunk[], writer?: Writer): this {
    for (const chunk of chunks) this.chunk(chunk, writer);
    return this;
  }

  /** A whole answer of a few words. */
  answers(messageId: string, text: string, writer?: Writer): this {
    return this.chunks([...beginning(messageId), ...words(text), ...ENDING], writer);
  }

  stop(actor = "user:alice"): this {
    return this.event("chat.stop", { kind: "chat.stop" }, { actor });
  }
}

export const beginning = (messageId: string): UIMessageChunk[] => [
  { type: "start", messageId },
  { type: "text-start", id: "0" },
];

export const words = (text: string): UIMessageChunk[] =>
  text.split(/(?<= )/).map((delta) => ({ type: "text-delta", id: "0", delta }));

export const ENDING: readonly UIMessageChunk[] = [{ type: "text-end", id: "0" }, { type: "finish" }];

/** What one reads. */
export function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
}
