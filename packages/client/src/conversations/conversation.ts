import type { Connections } from "../connection.js";
import type { Environment } from "../environment.js";
import type { Http } from "../http.js";
import type { JsonObject } from "../wire.js";
import { type StreamOptions, streamMessages } from "./stream-messages.js";
import type { AppendedMessage, Message, MessageInput, MessagePage } from "./wire.js";

export interface ConversationParts {
  readonly http: Http;
  readonly connections: Connections;
  readonly environment: Environment;
  readonly token: string | undefined;
}

export interface AppendOptions {
  /** Appends only onto this version of the conversation: otherwise `conflict`. */
  readonly ifVersion?: number;
  /** Left out, and not in the message either: the server estimates. */
  readonly tokenCount?: number;
  /** Takes the place of the message's own. */
  readonly metadata?: JsonObject;
  /** The same key with the same message is appended once, also by another call. Left out: one of this call's own. */
  readonly idempotencyKey?: string;
}

export interface TailOptions {
  /** 100 if left out; 1,000 at most. */
  readonly limit?: number;
  /** How many of the newest messages to pass over. */
  readonly offset?: number;
}

export interface ReplayOptions {
  /** The first seq that is wanted; from the beginning if left out. */
  readonly from?: number;
  readonly limit?: number;
}

export const conversationPath = (id: string): string => `/v1/conversations/${encodeURIComponent(id)}`;

/** One conversation. */
export class Conversation {
  constructor(
    readonly id: string,
    private readonly parts: ConversationParts,
    /** Settles when it is there. */
    protected readonly opened: Promise<void>,
  ) {}

  /**
   * Appends a message; resolves when it is on disk. A call that has to be sent again is appended once.
   *
   * @throws DaybookError `conflict` when `ifVersion` is not the version, `conversation_tombstoned`, `invalid_message`
   *
   * @example
   * const { seq, version } = await convo.append({ role: "user", parts: [{ type: "text", text: "Hello!" }] });
   */
  async append(message: MessageInput, options: AppendOptions = {}): Promise<AppendedMessage> {
    await this.opened;
    const { ifVersion, tokenCount = message.token_count, idempotencyKey } = options;
    const metadata = options.metadata ?? message.metadata;
    const body = {
      message: {
        role: message.role,
        parts: message.parts,
        ...(tokenCount !== undefined && { token_count: tokenCount }),
        ...(metadata !== undefined && { metadata }),
      },
      ...(ifVersion !== undefined && { if_version: ifVersion }),
    };
    const { http, token, environment } = this.parts;
    return (await http.call({
      method: "POST",
      path: `${conversationPath(this.id)}/messages`,
      token,
      body: JSON.stringify(body),
      headers: { "idempotency-key": idempotencyKey ?? environment.newId() },
    })) as AppendedMessage;
  }

  /**
   * The newest messages, oldest first; with `offset`, those before them.
   *
   * @example
   * const { messages } = await convo.tail({ limit: 50 });
   */
  async tail({ limit, offset }: TailOptions = {}): Promise<MessagePage> {
    return this.page("tail", { limit, offset });
  }

  /**
   * A page of messages from a seq on.
   *
   * @example
   * const { messages } = await convo.replay({ from: 0, limit: 100 });
   */
  async replay({ from, limit }: ReplayOptions = {}): Promise<MessagePage> {
    return this.page("messages", { from, limit });
  }

  /** All messages from a seq on, page by page as the loop goes on. */
  async *messages({ from = 0 }: { readonly from?: number } = {}): AsyncGenerator<Message, void, undefined> {
    for (let next = from; ;) {
      const { messages } = await this.replay({ from: next });
      yield* messages;
      const last = messages.at(-1);
      if (last === undefined) return;
      next = last.seq + 1;
    }
  }

  /**
   * Messages as they come: from the one that is appended next, or from a seq on. Goes on over lost connections without a gap
   * or a repetition, at the loop's own pace; ends when the conversation is tombstoned, or when the signal says so.
   *
   * @throws DaybookError
   *
   * @example
   * for await (const { role, parts } of convo.stream()) console.log(role, parts);
   */
  async *stream(options: StreamOptions = {}): AsyncGenerator<Message, void, undefined> {
    await this.opened;
    const { http, token } = this.parts;
    const source = {
      ...this.parts,
      id: this.id,
      page: (from: number) => this.replay({ from }),
      probe: () => http.once({ method: "GET", path: conversationPath(this.id), token }),
    };
    yield* streamMessages(source, options);
  }

  private async page(
    what: "tail" | "messages",
    options: Readonly<Record<string, number | undefined>>,
  ): Promise<MessagePage> {
    await this.opened;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options))
      if (value !== undefined) query.set(name, String(value));
    const path = `${conversationPath(this.id)}/${what}?${query.toString()}`;
    return (await this.parts.http.call({ method: "GET", path, token: this.parts.token })) as MessagePage;
  }
}

/** A conversation that is being opened: awaited, it is one that is there. Its calls wait by themselves. */
export class OpeningConversation extends Conversation implements PromiseLike<Conversation> {
  constructor(id: string, parts: ConversationParts, opened: Promise<void>) {
    super(id, parts, opened);
    this.open = () => new Conversation(id, parts, opened);
    // Whoever awaits it, or calls it, hears of it.
    opened.catch(() => undefined);
  }

  private readonly open: () => Conversation;

  then<Result = Conversation, Failure = never>(
    fulfilled?: ((conversation: Conversation) => Result | PromiseLike<Result>) | null,
    rejected?: ((reason: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Result | Failure> {
    return this.opened.then(this.open).then(fulfilled, rejected);
  }
}
