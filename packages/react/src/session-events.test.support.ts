import { ChatScript } from "@daybook/test-kit";
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

/** A session's events, as they would be in a log. */
export class Script extends ChatScript<UIMessageChunk, UIMessage> {}

/** What one reads. */
export function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
}

export function said({ messages }: { readonly messages: readonly UIMessage[] }): string[] {
  return messages.map((message) => `${message.role}: ${textOf(message)}`);
}
