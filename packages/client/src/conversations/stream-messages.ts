import { backoffMs } from "../backoff.js";
import type { Connections } from "../connection.js";
import type { Environment } from "../environment.js";
import { asDaybookError, type DaybookError } from "../errors.js";
import { TokenKeeper } from "../token-keeper.js";
import { Topic } from "../topic.js";
import type { Message, MessagePage } from "./wire.js";

export interface StreamOptions {
  /** The first seq that is wanted. Left out: what is appended from now on. */
  readonly from?: number;
  readonly signal?: AbortSignal;
}

export interface StreamSource {
  readonly id: string;
  readonly connections: Connections;
  readonly environment: Environment;
  readonly token: string | undefined;
  /** Messages from a seq on; none if there are no more. @throws DaybookError */
  readonly page: (from: number) => Promise<MessagePage>;
  /** Asks the server about the token, in a way that tells a bad one from no network. @throws DaybookError */
  readonly probe: () => Promise<unknown>;
}

/**
 * Catching up and following are one loop: read what is after the last message; nothing there: wait for a hint; read again.
 * The channel gives the hints: something was appended, or it was joined anew. So nothing queues up for a slow loop, and
 * what was missed while the connection was away is read like everything else.
 */
export async function* streamMessages(
  source: StreamSource,
  { from, signal }: StreamOptions,
): AsyncGenerator<Message, void, undefined> {
  const watch = new Watch(source, signal);
  try {
    let next = from ?? (await watch.versionAtJoin()) + 1;
    let failures = 0;
    while (!watch.isAborted()) {
      // Before the read: what ends it later may come behind messages that this read did not see.
      const { hints, end } = watch;
      const messages = await source.page(next).then(
        (page) => page.messages,
        (error: unknown) => retryable(error),
      );
      failures = messages === undefined ? failures + 1 : 0;
      for (const message of messages ?? []) {
        if (watch.isAborted()) return;
        next = message.seq + 1;
        yield message;
      }
      if (messages === undefined) await watch.pause(failures);
      else if (messages.length > 0) continue;
      else if (end?.error !== undefined) throw end.error;
      else if (end !== undefined) return;
      else await watch.after(hints);
    }
  } finally {
    watch.stop();
  }
}

/** Nothing, if another try may help. @throws DaybookError */
function retryable(thrown: unknown): undefined {
  const error = asDaybookError(thrown);
  if (!error.retryable) throw error;
}

/** What is heard of a conversation on its channel. */
class Watch {
  /** Counts up, so that none between a read and the wait after it is missed. */
  hints = 0;
  private tombstoned = false;
  private failure: DaybookError | undefined;
  private version: number | undefined;
  private wake: () => void = () => undefined;
  private readonly topic: Topic;

  constructor(
    private readonly source: StreamSource,
    private readonly signal: AbortSignal | undefined,
  ) {
    const { id, connections, environment, token, probe } = source;
    this.topic = new Topic({
      name: `conversation:${id}`,
      connections,
      environment,
      tokens: new TokenKeeper({
        token,
        refreshToken: undefined,
        environment,
        changed: () => undefined,
        failed: () => undefined,
      }),
      probe,
      joinPayload: () => ({}),
      joined: ({ version }) => {
        this.version ??= typeof version === "number" ? version : 0;
        this.hint();
      },
      received: (event) => {
        if (event === "tombstone") this.tombstoned = true;
        // Opened again.
        if (event === "message") this.tombstoned = false;
        this.hint();
      },
      changed: () => undefined,
      ended: (error) => {
        this.failure = error;
        this.hint();
      },
    });
    signal?.addEventListener("abort", this.hint);
    this.topic.start();
  }

  /** Nothing more will come. */
  get end(): { readonly error?: DaybookError } | undefined {
    if (this.tombstoned) return {};
    return this.failure === undefined ? undefined : { error: this.failure };
  }

  /** Asked anew after every wait. */
  isAborted(): boolean {
    return this.signal?.aborted === true;
  }

  /** The last seq when the channel was first joined. @throws DaybookError when it cannot be */
  async versionAtJoin(): Promise<number> {
    while (this.version === undefined && !this.isAborted()) {
      if (this.failure !== undefined) throw this.failure;
      await this.after(this.hints);
    }
    return this.version ?? 0;
  }

  after(hints: number): Promise<void> {
    return this.hints > hints ? Promise.resolve() : new Promise((resolve) => (this.wake = resolve));
  }

  /** Until another try may help: after a while, or when the channel has something to say. */
  async pause(failures: number): Promise<void> {
    const { clock, random } = this.source.environment;
    const stop = clock.after(backoffMs(failures, random()), this.hint);
    await this.after(this.hints);
    stop();
  }

  stop(): void {
    this.signal?.removeEventListener("abort", this.hint);
    this.topic.close();
  }

  private readonly hint = (): void => {
    this.hints++;
    this.wake();
  };
}
