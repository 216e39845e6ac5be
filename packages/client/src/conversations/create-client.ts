import { baseUrlOf } from "../base-url.js";
import { Connections } from "../connection.js";
import {
  defaultEnvironment,
  type Environment,
  type FetchLike,
  type WebSocketConstructor,
} from "../environment.js";
import { asDaybookError } from "../errors.js";
import { Http } from "../http.js";
import type { JsonObject } from "../wire.js";
import { conversationPath, type ConversationParts, OpeningConversation } from "./conversation.js";
import type { ConversationRecord } from "./wire.js";

export interface ClientOptions {
  /** Where the server is, e.g. `https://daybook.example.com`. */
  readonly baseUrl: string;
  /** A service's key. For servers only: never send it to a browser. Left out: for a server without auth. */
  readonly apiKey?: string;
  readonly fetch?: FetchLike;
  /** For `stream()`, where there is no global one, as in Node 20: that of the `ws` package. */
  readonly WebSocket?: WebSocketConstructor;
  /** Clock, chance: for tests. */
  readonly environment?: Partial<Environment>;
}

/** Conversations of one server. */
export class ConversationsClient implements Disposable {
  private readonly parts: ConversationParts;

  constructor({ baseUrl, apiKey, fetch, WebSocket, environment: given }: ClientOptions) {
    const environment = { ...defaultEnvironment(), ...given };
    const url = baseUrlOf(baseUrl);
    this.parts = {
      http: new Http(url, fetch ?? globalThis.fetch.bind(globalThis), environment),
      connections: new Connections({
        baseUrl: url,
        WebSocket: WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket,
        environment,
      }),
      environment,
      token: apiKey,
    };
  }

  /**
   * A conversation, which is created if it is not there. With `metadata` that of one that is there is replaced, and one
   * that is tombstoned takes messages again. What it answers can be awaited, and be used at once as well.
   *
   * @throws DaybookError when awaited, or by its first call
   *
   * @example
   * const convo = await client.conversation("demo-chat", { metadata: { channel: "web" } });
   * await convo.append({ role: "user", parts: [{ type: "text", text: "Hello!" }] });
   */
  conversation(id: string, options: { readonly metadata?: JsonObject } = {}): OpeningConversation {
    return new OpeningConversation(id, this.parts, this.open(id, options.metadata));
  }

  /** @throws DaybookError conversation_not_found */
  async getConversation(id: string): Promise<ConversationRecord> {
    const { http, token } = this.parts;
    return (await http.call({ method: "GET", path: conversationPath(id), token })) as ConversationRecord;
  }

  /** It takes no more messages; reads go on. @throws DaybookError conversation_not_found */
  async tombstoneConversation(id: string): Promise<void> {
    const { http, token } = this.parts;
    await http.call({ method: "DELETE", path: conversationPath(id), token });
  }

  /** Ends all streams, and the socket. */
  close(): void {
    this.parts.connections.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private async open(id: string, metadata: JsonObject | undefined): Promise<void> {
    if (metadata === undefined) {
      try {
        await this.getConversation(id);
        return;
      } catch (error) {
        if (asDaybookError(error).code !== "conversation_not_found") throw error;
      }
    }
    const { http, token } = this.parts;
    const body = JSON.stringify(metadata === undefined ? {} : { metadata });
    await http.call({ method: "PUT", path: conversationPath(id), token, body });
  }
}

/**
 * A client for conversations.
 *
 * @example
 * const client = createClient({ baseUrl: "http://localhost:4000" });
 */
export function createClient(options: ClientOptions): ConversationsClient {
  return new ConversationsClient(options);
}
