import type { SessionEvent } from "@daybook/client";
import { chunkOf, isEnd, userMessageOf } from "@daybook/client/ai";
import type { UIMessage, UIMessageChunk } from "ai";
import type { ChatEntry } from "./chat-log.js";
import type { ChatOptions } from "./chat-types.js";

/**
 * Calls back about what happens, not about what had happened before the chat was opened. Tools are called where the question
 * was asked: of several tabs that show a chat, one runs them.
 */
export class ChatCallbacks<Message extends UIMessage> {
  private isAskedHere = false;

  constructor(
    private readonly options: () => ChatOptions<Message>,
    private readonly chat: {
      readonly messages: () => Message[];
      /** An answer to what was asked here is whole, and was neither stopped nor has it failed. */
      readonly answered: () => void;
      readonly failed: (error: unknown) => void;
    },
  ) {}

  /** @param isFromHere a message that this chat has sent */
  arrived(event: SessionEvent, entry: ChatEntry<Message> | undefined, isFromHere: boolean): void {
    if (userMessageOf(event) !== undefined) this.isAskedHere = isFromHere;
    const chunk = chunkOf(event) as UIMessageChunk | undefined;
    if (chunk === undefined) return;
    if (chunk.type.startsWith("data-")) this.options().onData?.(chunk as never);
    if (chunk.type === "tool-input-available" && chunk.providerExecuted !== true && this.isAskedHere)
      void this.callTool(chunk);
    if (isEnd(chunk)) void this.ended(entry, chunk);
  }

  private async callTool(toolCall: UIMessageChunk): Promise<void> {
    try {
      await this.options().onToolCall?.({ toolCall } as never);
    } catch (error) {
      this.chat.failed(error);
    }
  }

  private async ended(entry: ChatEntry<Message> | undefined, end: UIMessageChunk): Promise<void> {
    await entry?.answer?.whole;
    if (end.type === "error") this.options().onError?.(new Error(end.errorText));
    const finishReason = "finishReason" in end ? end.finishReason : undefined;
    if (entry?.message !== undefined)
      this.options().onFinish?.({
        message: entry.message,
        messages: this.chat.messages(),
        isAbort: end.type === "abort",
        isDisconnect: false,
        isError: end.type === "error",
        ...(finishReason !== undefined && { finishReason }),
      });
    if (end.type === "finish" && this.isAskedHere) this.chat.answered();
  }
}
