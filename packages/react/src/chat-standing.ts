import type { UIMessage, UIMessageChunk } from "ai";
import type { Answer } from "./answer.js";
import { isEnd } from "./chat-envelope.js";

export type Standing = "submitted" | "streaming" | "ready" | "error";

/**
 * Where a chat stands:
 *
 *     submitted   somebody asked, and nothing of an answer has come yet
 *     streaming   an answer is being written
 *     error       an answer to what was asked last ended with an error
 *     ready       else
 *
 * An answer that nobody has written on since the last question is none that is being written: its writer is gone. Nor
 * is one that was stopped.
 */
export class ChatStanding<Message extends UIMessage> {
  private askedSeq = 0;
  private stoppedSeq = 0;
  private writtenSeq = 0;
  private failure: { readonly seq: number; readonly error: Error } | undefined;
  private readonly open = new Set<Answer<Message>>();
  private readonly aside = new WeakSet<Answer<Message>>();

  /** A message that wants an answer. */
  asked(seq: number): void {
    this.askedSeq = seq;
  }

  stopped(seq: number): void {
    this.stoppedSeq = seq;
  }

  wrote(answer: Answer<Message>, chunk: UIMessageChunk): void {
    if (this.aside.has(answer)) return;
    this.open.add(answer);
    if (!isEnd(chunk)) this.writtenSeq = answer.lastSeq;
    if (chunk.type === "error") this.failure = { seq: answer.lastSeq, error: new Error(chunk.errorText) };
  }

  ended(answer: Answer<Message>): void {
    this.open.delete(answer);
  }

  /** What is written on it from now on does not count. */
  setAside(answer: Answer<Message>): void {
    this.aside.add(answer);
    this.open.delete(answer);
  }

  get status(): Standing {
    for (const { firstSeq, lastSeq } of this.open)
      if (firstSeq > this.stoppedSeq && lastSeq > this.askedSeq) return "streaming";
    const isUnanswered = this.writtenSeq < this.askedSeq && this.error === undefined;
    if (isUnanswered && this.stoppedSeq < this.askedSeq) return "submitted";
    return this.error === undefined ? "ready" : "error";
  }

  get error(): Error | undefined {
    return this.failure !== undefined && this.failure.seq > this.askedSeq ? this.failure.error : undefined;
  }
}
