import { asDaybookError, DaybookError } from "../errors.js";
import type { Session } from "../session.js";
import type { SessionEvent, StateChange } from "../wire.js";
import { type MessageLike, userMessageOf } from "./chat-envelope.js";
import { Consumer } from "./consumer.js";
import { historyTo } from "./history.js";
import { readChat } from "./read-chat.js";
import { type MessageReader, readMessages } from "./read-messages.js";
import {
  type ChunkStream,
  isFenced,
  isFinal,
  type RecordedMessage,
  type RecordOptions,
  recordStream,
} from "./record-stream.js";
import { stopSignal } from "./stop-signal.js";

/** One message that asks for an answer, and the means to answer it. */
export interface AgentTurn {
  readonly session: Session;
  readonly event: SessionEvent;
  readonly message: MessageLike;
  /** Aborts when somebody stops the answer, or another worker takes over. */
  readonly signal: AbortSignal;
  /** Records an answer. With its last event this message counts as handled. */
  readonly record: (stream: ChunkStream) => Promise<RecordedMessage>;
  /**
   * The conversation up to this message, put together by the AI SDK's `readUIMessageStream`: all of it, or of a very long
   * one the newest 20,000 events and what belongs to the first of them. Given to `toUIMessageStream` as `originalMessages`,
   * it lets an answer go on with the message that asked, where that is an assistant's.
   */
  readonly messages: <Message extends MessageLike>(read: MessageReader<Message>) => Promise<Message[]>;
}

export interface RunAgentOptions extends Pick<RecordOptions, "batchMs" | "errorText"> {
  /** Names who has handled what, across restarts; the agent's id if left out. One worker at a time goes by a name. */
  readonly consumer?: string;
  /** Where a consumer that is new to the session begins: messages after this seq. 0 if left out. */
  readonly cursor?: number;
  /**
   * Which messages are answered. Left out: those of users, and those of an assistant that take the place of one that was
   * there, which is how the result of a tool that the user's side has run comes back.
   */
  readonly answers?: (message: MessageLike, event: SessionEvent) => boolean | Promise<boolean>;
  /** Ends it, after the turn that is going on. */
  readonly signal?: AbortSignal;
  /** A turn failed: readers see an `error` chunk, and this is for the log. Left out: `console.error`. */
  readonly onError?: (error: unknown, turn: AgentTurn) => void;
}

/**
 * Answers each user message of a session once, across restarts. What has been handled is a state key of the session,
 * `consumer/NAME`, committed together with the last event of each answer: there is no moment in which one is there
 * without the other. A worker that starts takes the name over: it closes what the one before left open, and should that
 * one not be dead after all, the session refuses what it still sends.
 *
 * @returns when the signal aborts or the session is closed
 * @throws DaybookError `state_conflict` when another worker has taken over
 *
 * @example
 * await runAgent(session, async ({ messages, signal, record }) => {
 *   const prompt = await convertToModelMessages(await messages(readUIMessageStream));
 *   await record(streamText({ model, prompt, abortSignal: signal }).toUIMessageStream());
 * });
 */
export async function runAgent(
  session: Session,
  handler: (turn: AgentTurn) => Promise<unknown>,
  options: RunAgentOptions = {},
): Promise<void> {
  const consumer = new Consumer(session, options.consumer ?? session.identity?.id ?? "agent");
  await consumer.load(options.cursor ?? 0);
  const { signal } = options;
  const answers = options.answers ?? ((message, event) => isQuestion(session, message, event));
  for await (const event of session.events({ cursor: consumer.seq, ...(signal && { signal }) })) {
    const lost = consumer.takenOverBy(event);
    if (lost !== undefined) throw lost;
    const message = userMessageOf(event);
    if (message === undefined || event.seq <= consumer.seq || !(await answers(message, event))) continue;
    await consumer.claim();
    // Whoever had the name before may have come further.
    if (event.seq > consumer.seq) await runTurn({ session, consumer, handler, options }, event, message);
  }
}

interface Run {
  readonly session: Session;
  readonly consumer: Consumer;
  readonly handler: (turn: AgentTurn) => Promise<unknown>;
  readonly options: RunAgentOptions;
}

async function runTurn(run: Run, event: SessionEvent, message: MessageLike): Promise<void> {
  const { session, consumer, handler, options } = run;
  const { signal, stop } = stopSignal(session, event.seq, { ends: (one) => consumer.takenOverBy(one) });
  const turn = turnOf(run, event, message, signal);
  try {
    await handler(turn);
    if (consumer.seq < event.seq) await consumer.advance(event.seq);
  } catch (error) {
    if (signal.reason instanceof DaybookError) throw signal.reason;
    if (turn.unrecorded.has(error)) {
      const failure = asDaybookError(error);
      if (isFenced(failure)) throw consumer.lost("seen by its refusal", failure);
      // Its message has ended with an error, unless nobody can write here any more. It would fail again in the same way.
      if (isFinal(failure)) throw failure;
      await consumer.advance(event.seq);
      report(error, turn, options);
    } else if (consumer.seq < event.seq) await turn.record(failing(error));
    else report(error, turn, options);
  } finally {
    stop();
  }
}

function turnOf(
  { session, consumer, options }: Run,
  event: SessionEvent,
  message: MessageLike,
  signal: AbortSignal,
): AgentTurn & { readonly unrecorded: ReadonlySet<unknown> } {
  const unrecorded = new Set<unknown>();
  const turn = {
    session,
    event,
    message,
    signal,
    /** What kept answers from being recorded. */
    unrecorded,
    record: async (stream: ChunkStream) => {
      const state = (): StateChange => consumer.moveTo(event.seq);
      const recorded = await recordStream(session, stream, {
        ...options,
        after: event.seq,
        signal,
        state,
      }).catch((error: unknown) => {
        unrecorded.add(error);
        throw error;
      });
      consumer.moved(event.seq);
      if (recorded.end === "error") report(recorded.error, turn, options);
      return recorded;
    },
    messages: async <Message extends MessageLike>(read: MessageReader<Message>) =>
      readMessages(await historyTo(session, event.seq), read),
  };
  return turn;
}

function report(error: unknown, turn: AgentTurn, { onError }: RunAgentOptions): void {
  if (onError === undefined) console.error(`The answer to seq ${turn.event.seq} failed:`, error);
  else onError(error, turn);
}

async function isQuestion(
  session: Session,
  { id, role }: MessageLike,
  { seq }: SessionEvent,
): Promise<boolean> {
  if (role !== "assistant") return role === "user";
  return readChat(await historyTo(session, seq - 1)).some((before) => before.id === id);
}

/** An answer that is nothing but the error. */
async function* failing(error: unknown): AsyncGenerator<{ type: string }> {
  yield await Promise.resolve({ type: "start" });
  throw error;
}
