import { asDaybookError, type DaybookError } from "../errors.js";
import type { AppendInput } from "../append-input.js";
import type { Session } from "../session.js";
import type { SessionEvent, StateChange } from "../wire.js";
import { ASSISTANT_CHUNK, type ChunkLike, isEnd } from "./chat-envelope.js";
import { mergeChunks } from "./merge-chunks.js";
import { stopSignal } from "./stop-signal.js";

/** A stream of the AI SDK's `UIMessageChunk`s: what `result.toUIMessageStream()` gives. */
export type ChunkStream = ReadableStream<ChunkLike> | AsyncIterable<ChunkLike>;

export interface RecordOptions {
  /** Chunks that come within this time are appended in one commit; 40 if left out. */
  readonly batchMs?: number;
  /**
   * Only a `chat.stop` after this seq ends it: say, of the message that is answered. Left out: only one that is appended
   * from now on.
   */
  readonly after?: number;
  /** Ends it, as a `chat.stop` does. */
  readonly signal?: AbortSignal;
  /** What readers see of an error. Left out: that there was one, and nothing of the server's inside. */
  readonly errorText?: (error: unknown) => string;
}

export interface RecordedMessage {
  /** How it ended: by itself, stopped, or with an error. */
  readonly end: "finish" | "abort" | "error";
  /** The seqs of its first and last event. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** What went wrong, if it ended with an error. */
  readonly error?: unknown;
}

/** What `runAgent` adds. */
export interface RecordExtras {
  /** State keys that change with the message's last event. */
  readonly state?: () => StateChange;
  /** An event that ends it, as a `chat.stop` does. */
  readonly ends?: (event: SessionEvent) => Error | undefined;
}

const BATCH_MS = 40;
/** In one commit, far from what the server takes in one. */
const BATCH_EVENTS_MAX = 500;
const BATCH_CHARACTERS_MAX = 512 * 1024;
/** Commits on their way, until the model has to wait. */
const UNACKNOWLEDGED_MAX = 16;

/** Messages being written, by session: a writer writes one after the other. */
const writing = new WeakMap<Session, Promise<unknown>>();

/**
 * Records an answer as it is made: every chunk becomes durable within moments, and readers see it grow. Adjacent deltas
 * are merged. The message ends exactly once, with `finish`, `abort` or `error`, whatever the stream does.
 *
 * Given a function, calls it with a signal that aborts when somebody stops the answer (`chat.stop`): pass it to the model.
 *
 * @returns how it ended, once all of it is durable
 * @throws DaybookError when the session does not take it
 *
 * @example
 * await recordStream(session, (signal) =>
 *   streamText({ model, prompt: "Hello!", abortSignal: signal }).toUIMessageStream(),
 * );
 */
export async function recordStream(
  session: Session,
  stream: ChunkStream | ((signal: AbortSignal) => ChunkStream | Promise<ChunkStream>),
  options: RecordOptions & RecordExtras = {},
): Promise<RecordedMessage> {
  const before = writing.get(session) ?? Promise.resolve();
  // Stops that are there already were meant for others.
  const after = options.after ?? (session.status === "live" ? session.cursor : Infinity);
  const recorded = before.then(async () => {
    const { signal, stop } = stopSignal(session, after, options);
    try {
      return await new Recorder(session, options, signal).record(stream);
    } finally {
      stop();
    }
  });
  writing.set(
    session,
    recorded.catch(() => undefined),
  );
  return recorded;
}

class Recorder {
  private waiting: ChunkLike[] = [];
  private readonly unacknowledged = new Set<Promise<void>>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failure: DaybookError | undefined;
  private firstSeq = 0;
  private lastSeq = 0;

  constructor(
    private readonly session: Session,
    private readonly options: RecordOptions & RecordExtras,
    private readonly signal: AbortSignal,
  ) {}

  async record(
    stream: ChunkStream | ((signal: AbortSignal) => ChunkStream | Promise<ChunkStream>),
  ): Promise<RecordedMessage> {
    const { end, error } = await this.readAll(stream);
    clearTimeout(this.timer);
    await this.finish(end);
    const { firstSeq, lastSeq } = this;
    const kind = end.type as RecordedMessage["end"];
    return { end: kind, firstSeq, lastSeq, ...(error !== undefined && { error }) };
  }

  /** Takes chunks until there are no more. @returns the chunk that ends the message */
  private async readAll(
    stream: ChunkStream | ((signal: AbortSignal) => ChunkStream | Promise<ChunkStream>),
  ): Promise<{ readonly end: ChunkLike; readonly error?: unknown }> {
    try {
      const chunks = typeof stream === "function" ? await stream(this.signal) : stream;
      for await (const chunk of untilAborted(chunks, this.signal)) {
        if (isEnd(chunk)) return { end: chunk, ...(chunk.type === "error" && { error: chunk }) };
        this.take(chunk);
        if (this.failure !== undefined) break;
        if (this.unacknowledged.size >= UNACKNOWLEDGED_MAX) await Promise.race(this.unacknowledged);
      }
    } catch (error) {
      if (!this.signal.aborted) return { end: this.errorChunk(error), error };
    }
    return { end: { type: this.signal.aborted ? "abort" : "finish" } };
  }

  private take(chunk: ChunkLike): void {
    this.waiting.push(chunk);
    this.timer ??= setTimeout(() => this.flush(), this.options.batchMs ?? BATCH_MS);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const inputs = inputsOf(this.waiting);
    this.waiting = [];
    for (const part of parted(inputs)) this.send(part);
  }

  private send(inputs: readonly AppendInput[]): void {
    if (this.failure !== undefined) return;
    const sent = this.append(inputs)
      .catch((error: unknown) => this.failed(asDaybookError(error)))
      .finally(() => this.unacknowledged.delete(sent));
    this.unacknowledged.add(sent);
  }

  /** What is behind a refusal would wait for ever. */
  private failed(error: DaybookError): void {
    this.failure ??= error;
    // Whatever still waits is void.
    if (isFenced(error)) this.session.discard("all");
    else if (!isFinal(error)) this.session.discard();
  }

  /** Writes what is left together with the end. */
  private async finish(end: ChunkLike): Promise<void> {
    const state = this.options.state?.();
    const last = { ...inputOf(end), ...(state !== undefined && { state }) };
    const [rest = [], ...before] = parted([...inputsOf(this.waiting), last]).reverse();
    for (const part of before.reverse()) this.send(part);
    await Promise.all(this.unacknowledged);
    try {
      if (this.failure !== undefined) throw this.failure;
      await this.append(rest);
    } catch (error) {
      const failure = asDaybookError(error);
      this.failed(failure);
      if (!isFinal(failure)) await this.closeAfter(failure);
      throw failure;
    }
  }

  /** Something was refused. The message still ends. */
  private async closeAfter(failure: DaybookError): Promise<void> {
    const end = failure.code === "state_conflict" ? { type: "abort" } : this.errorChunk(failure);
    // Should that be refused as well, what it was refused for first is what there is to say.
    await this.append([inputOf(end)]).catch(() => this.session.discard());
  }

  private async append(inputs: readonly AppendInput[]): Promise<void> {
    const results = await this.session.appendAll(inputs);
    this.firstSeq ||= results[0]?.seq ?? 0;
    this.lastSeq = results.at(-1)?.seq ?? this.lastSeq;
  }

  private errorChunk(error: unknown): ChunkLike & { readonly errorText: string } {
    return {
      type: "error",
      errorText: this.options.errorText?.(error) ?? "The answer could not be finished.",
    };
  }
}

/** Somebody else has written under these numbers. */
export function isFenced({ code }: DaybookError): boolean {
  return code.startsWith("producer_");
}

/** Nothing more can be written here: another has taken the message over, or nobody may. */
export function isFinal(error: DaybookError): boolean {
  return isFenced(error) || error.isAuth || error.code === "closed";
}

/** What goes into one commit each. */
function parted(inputs: readonly AppendInput[]): AppendInput[][] {
  const parts: AppendInput[][] = [];
  let characters = Infinity;
  for (const input of inputs) {
    const more = JSON.stringify(input.payload).length;
    characters += more;
    const part = parts.at(-1) ?? [];
    if (characters <= BATCH_CHARACTERS_MAX && part.length < BATCH_EVENTS_MAX) part.push(input);
    else {
      parts.push([input]);
      characters = more;
    }
  }
  return parts;
}

function inputsOf(chunks: readonly ChunkLike[]): AppendInput[] {
  return mergeChunks(chunks).map(inputOf);
}

/** A chunk as an event. Whoever closes a message in another's name writes just this. */
export function inputOf(chunk: ChunkLike): AppendInput & Required<Pick<AppendInput, "type" | "payload">> {
  return { type: ASSISTANT_CHUNK, payload: { kind: ASSISTANT_CHUNK, chunk } };
}

/** Chunks until the signal aborts, also while none comes. The stream is told that nobody reads it any more. */
async function* untilAborted(stream: ChunkStream, signal: AbortSignal): AsyncGenerator<ChunkLike> {
  const iterator = iteratorOf(stream);
  let abort: () => void = () => undefined;
  const aborted = new Promise<{ done: true; value: undefined }>((resolve) => {
    abort = () => resolve({ done: true, value: undefined });
  });
  signal.addEventListener("abort", abort);
  try {
    while (!signal.aborted) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", abort);
    // Not awaited: a model that hangs hangs here too.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** By its reader where there is one: an iterator of a stream does not give up while it waits for a chunk. */
function iteratorOf(stream: ChunkStream): AsyncIterator<ChunkLike> {
  if (!("getReader" in stream)) return stream[Symbol.asyncIterator]();
  const reader = stream.getReader();
  return {
    next: () => reader.read() as Promise<IteratorResult<ChunkLike>>,
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}
