import type { SessionEvent } from "@daybook/client";
import { PartTracker } from "@daybook/client/ai";
import type { UIMessage, UIMessageChunk } from "ai";

/** The AI SDK's `readUIMessageStream`, of whichever version. */
export type MessageReader<Message extends UIMessage> = (options: {
  readonly message?: Message;
  readonly stream: ReadableStream<UIMessageChunk>;
  readonly onError?: (error: unknown) => void;
}) => AsyncIterable<Message>;

interface AnswerOptions<Message extends UIMessage> {
  /** The message's, whatever the answer says. */
  readonly id: string;
  readonly hasStart: boolean;
  /** What it continues, or an empty message: once `before` is whole. */
  readonly base: () => Message;
  /** The answer that it continues. */
  readonly before: Answer<Message> | undefined;
  readonly read: MessageReader<Message>;
  readonly changed: (message: Message) => void;
}

/**
 * One answer, put together by the AI SDK's own reader as its chunks come in. The reader works asynchronously, and has read
 * everything within the microtasks that follow.
 */
export class Answer<Message extends UIMessage> {
  readonly actor: string;
  /** The seqs of its first and newest chunk. */
  readonly firstSeq: number;
  lastSeq: number;
  isOpen = true;
  /** What was pushed last, as the reader gets it; undefined if it was passed over. */
  newest: UIMessageChunk | undefined;
  /** It began with `start`, so that it ends with its end; without, a user message after it ends it as well. */
  readonly hasStart: boolean;
  /** Resolves when everything is read, once it has ended. */
  readonly whole: Promise<void>;
  private controller: ReadableStreamDefaultController<UIMessageChunk> | undefined;
  private readonly parts: PartTracker;

  constructor(
    { seq, actor }: SessionEvent,
    private readonly options: AnswerOptions<Message>,
  ) {
    this.actor = actor;
    this.firstSeq = seq;
    this.lastSeq = seq;
    this.hasStart = options.hasStart;
    this.parts = options.before?.parts ?? new PartTracker(options.base());
    this.parts.begin();
    const stream = new ReadableStream<UIMessageChunk>({
      start: (controller) => {
        this.controller = controller;
      },
    });
    this.whole = readAll(stream, options);
  }

  /** Of the message that it is part of. */
  get id(): string {
    return this.options.id;
  }

  push({ seq }: SessionEvent, chunk: UIMessageChunk): void {
    this.lastSeq = seq;
    this.newest = undefined;
    if (!this.parts.admits(chunk)) return;
    // The reader keeps some chunks as parts, and writes on them; the event's own is not its to change.
    this.newest = chunk.type === "start" ? { ...chunk, messageId: this.options.id } : { ...chunk };
    this.controller?.enqueue(this.newest);
  }

  end(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.controller?.close();
  }
}

async function readAll<Message extends UIMessage>(
  stream: ReadableStream<UIMessageChunk>,
  { base, before, read, changed }: AnswerOptions<Message>,
): Promise<void> {
  await before?.whole;
  // The reader writes on the message it is given.
  const message = structuredClone(base());
  // An `error` chunk is told to onError as well: the log has it already. What cannot be read ends the reading there.
  for await (const next of read({ message, stream, onError: () => undefined })) changed(next);
}
