import type { SessionEvent } from "@daybook/client";
import { isEnd } from "@daybook/client/ai";
import type { UIMessage, UIMessageChunk } from "ai";
import type { Answer } from "./answer.js";

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
  /** The seq of the newest message that wants an answer. */
  askedSeq = 0;
  /** When everybody was stopped last, and each actor alone. */
  private stoppedSeq = 0;
  private readonly stoppedSeqs = new Map<unknown, number>();
  private writtenSeq = 0;
  private failure: { readonly seq: number; readonly error: Error } | undefined;
  private readonly open = new Set<Answer<Message>>();
  private readonly aside = new WeakSet<Answer<Message>>();

  /** A message that wants an answer. */
  asked(seq: number): void {
    this.askedSeq = seq;
  }

  /** @param event a `chat.stop`: of everybody, or of the actor that it names */
  stopped({ seq, payload }: Pick<SessionEvent, "seq" | "payload">): void {
    if (payload.actor === undefined) this.stoppedSeq = seq;
    else this.stoppedSeqs.set(payload.actor, seq);
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
    if (this.written !== undefined) return "streaming";
    const isUnanswered = this.writtenSeq < this.askedSeq && this.error === undefined;
    if (isUnanswered && this.stoppedSeq < this.askedSeq) return "submitted";
    return this.error === undefined ? "ready" : "error";
  }

  /** The answer that is being written; with several, the one that began first. */
  get written(): Answer<Message> | undefined {
    for (const answer of this.open) if (this.isWritten(answer)) return answer;
    return undefined;
  }

  /** Whether somebody is still writing it. */
  isWritten(answer: Answer<Message>): boolean {
    const { actor, firstSeq, lastSeq } = answer;
    const stoppedSeq = Math.max(this.stoppedSeq, this.stoppedSeqs.get(actor) ?? 0);
    return this.open.has(answer) && firstSeq > stoppedSeq && lastSeq > this.askedSeq;
  }

  get error(): Error | undefined {
    return this.failure !== undefined && this.failure.seq > this.askedSeq ? this.failure.error : undefined;
  }
}
