import { asDaybookError, DaybookError } from "../errors.js";
import type { Session } from "../session.js";
import type { SessionEvent, StateChange } from "../wire.js";
import { chunkOf, isEnd, type MessageLike, userMessageOf } from "./chat-envelope.js";
import { historyTo } from "./history.js";
import { readChat } from "./read-chat.js";
import { type MessageReader, readMessages } from "./read-messages.js";
import {
  type ChunkStream,
  inputOf,
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
    if (consumer.seq < event.seq && !(error instanceof DaybookError)) await turn.record(failing(error));
    else if (consumer.seq < event.seq) throw error;
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
): AgentTurn {
  const turn: AgentTurn = {
    session,
    event,
    message,
    signal,
    record: async (stream) => {
      const state = (): StateChange => consumer.moveTo(event.seq);
      const recorded = await recordStream(session, stream, { ...options, after: event.seq, signal, state });
      consumer.moved(event.seq);
      if (recorded.end === "error") report(recorded.error, turn, options);
      return recorded;
    },
    messages: async (read) => readMessages(await historyTo(session, event.seq), read),
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

const CLAIMED = "consumer.claimed";
const ADVANCED = "consumer.advanced";

/** How far the consumer of a name has come in a session. */
class Consumer {
  /** The last user message that was handled. */
  seq = 0;
  private version = 0;
  private claimSeq: number | undefined;

  constructor(
    private readonly session: Session,
    private readonly name: string,
  ) {}

  private get key(): string {
    return `consumer/${this.name}`;
  }

  async load(otherwise: number): Promise<void> {
    try {
      const entry = await this.session.call("GET", `/state/${encodeURIComponent(this.key)}`);
      const { value, version } = entry as {
        readonly value?: { readonly seq?: unknown };
        readonly version: number;
      };
      this.seq = typeof value?.seq === "number" ? value.seq : otherwise;
      this.version = version;
    } catch (error) {
      if (asDaybookError(error).code !== "state_key_not_found") throw error;
      this.seq = otherwise;
    }
  }

  /** Takes the name over, and closes what whoever had it has left open. Once; what was handled meanwhile counts. */
  async claim(): Promise<void> {
    while (this.claimSeq === undefined) {
      const payload = { kind: CLAIMED, consumer: this.name };
      try {
        const { seq } = await this.session.append({ type: CLAIMED, payload, state: this.moveTo(this.seq) });
        this.version++;
        this.claimSeq = seq;
        await this.closeLeftOpen(seq);
      } catch (error) {
        if (asDaybookError(error).code !== "state_conflict") throw error;
        await this.load(this.seq);
      }
    }
  }

  /**
   * Ends the messages that a worker before has left open, under that worker's next number: so they end for readers too,
   * and should he not be dead after all, his own next event is refused.
   */
  private async closeLeftOpen(claimSeq: number): Promise<void> {
    const events = await this.session.range(this.seq + 1, claimSeq);
    const own = events.at(-1)?.producer_id;
    const writers = new Map<string, { producerSeq: number; isOpen: boolean }>();
    for (const event of events) {
      if (event.actor !== this.session.actor || event.producer_id === own) continue;
      const chunk = chunkOf(event);
      const isOpen = chunk === undefined ? writers.get(event.producer_id)?.isOpen === true : !isEnd(chunk);
      writers.set(event.producer_id, { producerSeq: event.producer_seq, isOpen });
    }
    for (const [producerId, { producerSeq, isOpen }] of writers)
      if (isOpen) await this.closeInNameOf(producerId, producerSeq + 1);
  }

  private async closeInNameOf(producerId: string, producerSeq: number): Promise<void> {
    const numbers = { producer_id: producerId, producer_seq: producerSeq, actor: this.session.actor };
    const body = JSON.stringify({ ...inputOf({ type: "abort" }), ...numbers });
    try {
      await this.session.call("POST", "/append", { body });
    } catch (error) {
      // He went on writing. That worker sees the claim, and ends his message himself.
      if (!asDaybookError(error).code.startsWith("producer_")) throw error;
    }
  }

  /** Counts a message as handled that nothing was recorded for. */
  async advance(seq: number): Promise<void> {
    await this.session.append({
      type: ADVANCED,
      payload: { kind: ADVANCED, consumer: this.name, seq },
      state: this.moveTo(seq),
    });
    this.moved(seq);
  }

  /** The state change that says so; refused if another worker has taken over. */
  moveTo(seq: number): StateChange {
    return { set: { [this.key]: { seq } }, if: { [this.key]: this.version } };
  }

  moved(seq: number): void {
    this.seq = seq;
    this.version++;
  }

  /** Why this worker has to end, if the event says that another one has begun. */
  takenOverBy(event: SessionEvent): DaybookError | undefined {
    const isClaim = event.type === CLAIMED && event.payload.consumer === this.name;
    if (!isClaim || this.claimSeq === undefined || event.seq <= this.claimSeq) return undefined;
    return new DaybookError(
      "state_conflict",
      `Another worker has taken over as ${this.name} (seq ${event.seq}).`,
    );
  }
}
