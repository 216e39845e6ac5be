import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Daybook, type Session, type SessionEvent } from "@daybook/client";
import { type ChunkLike, recordStream } from "@daybook/client/ai";
import { WebSocket } from "ws";
import { BusyClock } from "./load-busy.js";
import { Histogram } from "./load-histogram.js";
import { type ChatReport, type ChatTask, sessionId } from "./load-task.js";

/** A token as models make them: a short word. All are as long, so that a reader knows how many it has. */
const TOKEN = "word ";
const DRAIN_MS_MAX = 10_000;

/**
 * Answers that grow token by token in many sessions, each written by the SDK's recorder and read by another client. A
 * token's time counts from when the model was due to make it until the reader has it.
 */
export async function runChat(task: ChatTask): Promise<ChatReport> {
  const options = { baseUrl: task.target.url, apiKey: task.target.token, WebSocket };
  const [writers, readers] = [new Daybook(options), new Daybook(options)];
  try {
    const startedAt = performance.now() + 200;
    const clock = {
      startedAt,
      measureFrom: startedAt + task.warmUpSeconds * 1000,
      endsAt: startedAt + (task.warmUpSeconds + task.seconds) * 1000,
    };
    const seen = new Histogram();
    const chats = await Promise.all(
      Array.from({ length: task.sessions.count }, async (_, index) => {
        const id = sessionId(task.sessions, index);
        const identity = writers.agent({ id: "drafter" });
        const session = await writers.session({ id, identity });
        const reader = await readers.session({ id, identity: readers.user({ id: "alice" }) });
        return new Chat({ task, clock, seen, session, reader, index });
      }),
    );
    const running = Promise.all(chats.map((chat) => chat.run()));
    await sleep(clock.measureFrom - performance.now());
    const busy = new BusyClock();
    await sleep(task.seconds * 1000);
    const share = busy.share();
    const events = await running;
    return {
      tokens: chats.reduce((total, { tokens }) => total + tokens, 0),
      events: events.reduce((total, count) => total + count, 0),
      seconds: task.warmUpSeconds + task.seconds,
      seen: seen.percentiles(),
      busy: share,
    };
  } finally {
    await Promise.all([writers.close({ timeoutMs: 0 }), readers.close({ timeoutMs: 0 })]);
  }
}

interface ChatOptions {
  readonly task: ChatTask;
  readonly clock: { readonly startedAt: number; readonly measureFrom: number; readonly endsAt: number };
  readonly seen: Histogram;
  readonly session: Session;
  readonly reader: Session;
  readonly index: number;
}

class Chat {
  tokens = 0;
  private tokensSeen = 0;
  private readonly everyMs: number;
  /** Not all chats speak in the same millisecond. */
  private readonly startedAt: number;

  constructor(private readonly options: ChatOptions) {
    const { task, clock, index } = options;
    this.everyMs = 1000 / task.chunksPerSecond;
    this.startedAt = clock.startedAt + (index / task.sessions.count) * this.everyMs;
  }

  /** @returns how many events it became */
  async run(): Promise<number> {
    const { session, reader, task } = this.options;
    const stop = reader.on("event", (event) => this.read(event));
    const { lastSeq, end } = await recordStream(session, this.answer(), { batchMs: task.batchMs });
    if (end !== "finish") throw new Error(`a chat ended with ${end}`);
    const deadline = performance.now() + DRAIN_MS_MAX;
    while (this.tokensSeen < this.tokens) {
      if (performance.now() > deadline)
        throw new Error(`${this.tokens - this.tokensSeen} tokens were never seen`);
      await sleep(5);
    }
    stop();
    return lastSeq;
  }

  private async *answer(): AsyncGenerator<ChunkLike> {
    yield { type: "start" };
    yield { type: "text-start", id: "t" } as ChunkLike;
    for (; ; this.tokens++) {
      const dueAt = this.startedAt + this.tokens * this.everyMs;
      if (dueAt >= this.options.clock.endsAt) break;
      const early = dueAt - performance.now();
      if (early > 0) await sleep(early);
      yield { type: "text-delta", id: "t", delta: TOKEN } as ChunkLike;
    }
    yield { type: "text-end", id: "t" } as ChunkLike;
    yield { type: "finish" };
  }

  private read({ payload }: SessionEvent): void {
    const { delta } = (payload["chunk"] ?? {}) as { readonly delta?: string };
    const now = performance.now();
    for (let left = (delta?.length ?? 0) / TOKEN.length; left > 0; left--) {
      const dueAt = this.startedAt + this.tokensSeen++ * this.everyMs;
      if (dueAt >= this.options.clock.measureFrom) this.options.seen.recordMs(now - dueAt);
    }
  }
}
