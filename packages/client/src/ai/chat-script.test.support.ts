import { ChatScript, type TextChunk, words } from "@daybook/test-kit";
import type { ChunkLike, MessageLike } from "./chat-envelope.js";

/** A chat, as it would be in a log. */
export class Script extends ChatScript<ChunkLike & Readonly<Record<string, unknown>>, MessageLike> {}

/** A text in an answer. */
export const text = (said: string): TextChunk[] => [
  { type: "text-start", id: "0" },
  ...words(said),
  { type: "text-end", id: "0" },
];
