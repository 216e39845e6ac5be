import type { AppendInput, Session, SessionEvent } from "@daybook/client";
import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { answerChunks, type AnswerChoice } from "./answer-chunks.js";
import { messageInput, STOP_INPUT } from "./chat-inputs.js";
import { newestTurns, readChat } from "./load-chat.js";
import { requestMetadata } from "./new-message.js";
import { standingOf } from "./standing-of.js";

export interface TransportOptions {
  /** The session that a chat is in; a function, if it is to be asked once for each chat id. */
  readonly session: Session | ((chatId: string) => Session | Promise<Session>);
  /**
   * Whether `stop()` stops the answer for everybody, by a `chat.stop` in the session; true if left out. `useChat` of the AI
   * SDK 7 also stops when its component goes away: with `false` the answer goes on then, and `transport.stop()` stops it.
   */
  readonly stopOnAbort?: boolean;
}

type SendOptions<Message extends UIMessage> = Parameters<ChatTransport<Message>["sendMessages"]>[0];
type ReconnectOptions<Message extends UIMessage> = Parameters<ChatTransport<Message>["reconnectToStream"]>[0];

/**
 * Lets the AI SDK's `useChat` talk through a session: messages go into the log, where an agent finds them, and answers come
 * out of it. With `resume`, an answer that is being written goes on after a reload, in every tab; `useChatSync` adds what
 * other tabs ask.
 *
 * @example
 * const transport = new DaybookChatTransport({ session });
 * const loaded = await transport.loadMessages();
 * // … and in the component:
 * const { messages, sendMessage } = useChat({ transport, messages: loaded, resume: true });
 */
export class DaybookChatTransport<Message extends UIMessage = UIMessage> implements ChatTransport<Message> {
  /** An answer that is resumed comes from its beginning. */
  readonly resumeStreamIsReplay = true;
  private readonly sessions = new Map<string, Promise<Session>>();
  /** How often each chat was resumed. */
  private readonly resumed = new Map<string, number>();

  constructor(private readonly options: TransportOptions) {}

  /** Appends the newest message. @returns the answer to it, chunk by chunk as it is written */
  readonly sendMessages = async (options: SendOptions<Message>): Promise<ReadableStream<UIMessageChunk>> => {
    const answer = await unlessAborted(this.ask(options), options.abortSignal);
    return answer ?? new ReadableStream({ start: (controller) => controller.close() });
  };

  /** @returns the answer that is being written, from its beginning; null if none is */
  readonly reconnectToStream = async (
    options: ReconnectOptions<Message>,
  ): Promise<ReadableStream<UIMessageChunk> | null> => {
    const { chatId, abortSignal } = options as typeof options & { readonly abortSignal?: AbortSignal };
    return (await unlessAborted(this.resume(chatId, abortSignal), abortSignal)) ?? null;
  };

  /**
   * The messages so far, for `useChat({ messages })`. An answer that is being written is not among them: it comes with
   * `resume`.
   *
   * @param chatId names the session, if a function finds it
   */
  async loadMessages(chatId = ""): Promise<Message[]> {
    const { entries, standing } = await readChat<Message>(await newestTurns(await this.sessionOf(chatId)));
    const resumed = standing.written;
    return entries
      .filter(({ answer }) => answer === undefined || answer !== resumed)
      .flatMap(({ message }) => message ?? []);
  }

  /** Stops the answers that are being written, for everybody. */
  async stop(chatId = ""): Promise<void> {
    await append(await this.sessionOf(chatId), [STOP_INPUT]);
  }

  private async ask(options: SendOptions<Message>): Promise<ReadableStream<UIMessageChunk>> {
    const session = await this.sessionOf(options.chatId);
    const after = await append(session, await inputsOf(session, options));
    const choice = { after, isWanted: ({ firstSeq }: { readonly firstSeq: number }) => firstSeq > after };
    return this.streamOf(session, await newestTurns(session), choice, options.abortSignal);
  }

  private async resume(
    chatId: string,
    abortSignal: AbortSignal | undefined,
  ): Promise<ReadableStream<UIMessageChunk> | undefined> {
    const count = (this.resumed.get(chatId) ?? 0) + 1;
    this.resumed.set(chatId, count);
    const session = await this.sessionOf(chatId);
    const events = await newestTurns(session);
    const choice = openAnswerIn(events);
    if (choice === undefined) return undefined;
    // Who resumes anew has given up what was resumed before, and stops nothing.
    const isGivenUp = (): boolean => this.resumed.get(chatId) !== count;
    return this.streamOf(session, events, choice, abortSignal, isGivenUp);
  }

  private streamOf(
    session: Session,
    events: readonly SessionEvent[],
    choice: AnswerChoice,
    abortSignal: AbortSignal | undefined,
    isGivenUp = (): boolean => false,
  ): ReadableStream<UIMessageChunk> {
    const reading = new AbortController();
    const abort = (): void => {
      reading.abort();
      if (this.options.stopOnAbort !== false) void stopUnless(isGivenUp, session);
    };
    const end = (): void => abortSignal?.removeEventListener("abort", abort);
    const chunks = answerChunks(session, events, choice, reading.signal);
    if (abortSignal?.aborted === true) abort();
    else abortSignal?.addEventListener("abort", abort);
    return new ReadableStream<UIMessageChunk>({
      pull: async (controller) => {
        const next = await chunks.next();
        if (next.done === true) {
          end();
          controller.close();
        } else controller.enqueue(next.value);
      },
      cancel: () => {
        end();
        reading.abort();
      },
    });
  }

  private sessionOf(chatId: string): Promise<Session> {
    const { session } = this.options;
    if (typeof session !== "function") return Promise.resolve(session);
    let found = this.sessions.get(chatId);
    if (found === undefined) {
      found = (async () => session(chatId))();
      this.sessions.set(chatId, found);
      // It may be there next time.
      found.catch(() => this.sessions.delete(chatId));
    }
    return found;
  }
}

/**
 * What comes of a promise; undefined as soon as the signal aborts. The rest of it goes on: what was to be sent is sent, if
 * only later, and then finds that it was aborted.
 */
function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal | undefined,
): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const abort = (): void => resolve(undefined);
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}

/** What is to be appended, so that the newest message is answered. */
async function inputsOf<Message extends UIMessage>(
  session: Session,
  { messages, messageId, trigger, body, metadata }: SendOptions<Message>,
): Promise<AppendInput[]> {
  const isRegenerated = trigger === "regenerate-message";
  const named = isRegenerated ? undefined : messages.find(({ id }) => id === messageId);
  const message = isRegenerated
    ? messages.findLast(({ role }) => role === "user")
    : (named ?? messages.at(-1));
  if (message === undefined) throw new Error("There is no message that could be answered.");
  const input = messageInput(message, requestMetadata({ ...(body && { body }), metadata }));
  const isAnew = isRegenerated || named?.role === "user";
  // An answer that is being written to what is now asked anew is of no use any more.
  return isAnew && openAnswerIn(await newestTurns(session)) !== undefined ? [STOP_INPUT, input] : [input];
}

/** The answer that is being written after these events, or waited for. */
function openAnswerIn(events: readonly SessionEvent[]): AnswerChoice | undefined {
  const { status, askedSeq, written } = standingOf(events);
  if (written !== undefined)
    return {
      after: written.firstSeq,
      isWanted: ({ firstSeq }) => firstSeq === written.firstSeq,
      isResumed: true,
    };
  if (status !== "submitted") return undefined;
  return { after: askedSeq, isWanted: ({ firstSeq }) => firstSeq > askedSeq, isResumed: true };
}

/** @returns the seq of the last event */
async function append(session: Session, inputs: readonly AppendInput[]): Promise<number> {
  try {
    return (await session.appendAll(inputs)).at(-1)?.seq ?? 0;
  } catch (error) {
    // The chat shows what it was refused for; what comes next is not to wait behind it.
    session.discard();
    throw error;
  }
}

async function stopUnless(isGivenUp: () => boolean, session: Session): Promise<void> {
  // Whoever resumes anew does so within the task that aborts.
  await Promise.resolve();
  if (!isGivenUp()) await append(session, [STOP_INPUT]).catch(() => undefined);
}
