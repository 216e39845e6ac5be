import type { Session, SessionEvent } from "@daybook/client";
import { chunkOf, isStop } from "@daybook/client/ai";
import type { UIMessage, UIMessageChunk } from "ai";
import type { Answer } from "./answer.js";
import { ChatLog } from "./chat-log.js";
import { messageChunks } from "./message-chunks.js";
import { readNothing } from "./standing-of.js";

/** One of the answers in a session. */
export interface AnswerChoice {
  /** The first answer that this holds for. */
  readonly isWanted: (answer: Pick<Answer<UIMessage>, "firstSeq">) => boolean;
  /** A `chat.stop` after this seq ends it. */
  readonly after: number;
  /** Nobody knows yet what the message was that it goes on with. */
  readonly isResumed?: boolean;
}

/**
 * The chunks of one answer, from its first one on, as they come: until it ends, or is stopped, or what it answers is asked
 * anew. What could not be read is left out.
 *
 * @param events the newest ones, whole turns
 * @throws DaybookError when nothing more can come
 */
export async function* answerChunks(
  session: Session,
  events: readonly SessionEvent[],
  { isWanted, after, isResumed = false }: AnswerChoice,
  signal: AbortSignal,
): AsyncGenerator<UIMessageChunk, void, undefined> {
  const log = new ChatLog<UIMessage>(readNothing);
  let answer: Answer<UIMessage> | undefined;
  for await (const event of following(session, events, signal)) {
    const entry = log.push(event);
    const written = entry?.answer;
    if (chunkOf(event) !== undefined && written !== undefined) {
      const isFirst = answer === undefined && isWanted(written);
      if (isFirst) answer = written;
      if (answer === written && written.newest !== undefined) yield written.newest;
      if (isFirst && isResumed && entry?.message !== undefined) yield* messageChunks(entry.message);
    }
    if (answer?.isOpen === false) return;
    const isStopped = event.seq > after && isStop(event, answer?.actor ?? "");
    const isAside = answer !== undefined && log.entry(answer.id)?.answer !== answer;
    if (!isStopped && !isAside) continue;
    yield { type: "abort" };
    return;
  }
}

/** Events that are known, then those that come. */
async function* following(
  session: Session,
  events: readonly SessionEvent[],
  signal: AbortSignal,
): AsyncGenerator<SessionEvent, void, undefined> {
  yield* events;
  yield* session.events({ cursor: events.at(-1)?.seq ?? 0, signal });
}
