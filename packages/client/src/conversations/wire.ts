import type { JsonObject } from "../wire.js";

/** What the server says of conversations, as it says it: names and spelling are those of docs/PROTOCOL.md. */

/** A part of a message. What else it holds depends on its type. */
export interface MessagePart {
  readonly type: string;
  readonly [name: string]: unknown;
}

/** A message to append. Whatever else an object of this shape holds is left out. */
export interface MessageInput {
  /** `user`, `assistant`, `system` … */
  readonly role: string;
  /** At least one. */
  readonly parts: readonly MessagePart[];
  readonly metadata?: unknown;
  /** Left out: the server estimates. */
  readonly token_count?: number;
}

export interface Message {
  readonly seq: number;
  readonly role: string;
  readonly parts: readonly MessagePart[];
  readonly token_count: number;
  readonly metadata: JsonObject;
  /** RFC 3339, UTC. */
  readonly inserted_at: string;
}

export interface MessagePage {
  /** Oldest first. */
  readonly messages: readonly Message[];
}

export interface ConversationRecord {
  readonly id: string;
  /** The last seq: what `ifVersion` is compared with. */
  readonly version: number;
  /** It takes no more messages. */
  readonly tombstoned: boolean;
  readonly last_seq: number;
  readonly archived_seq: number;
  readonly metadata: JsonObject;
  readonly created_at: string;
  readonly updated_at: string;
}

export interface AppendedMessage {
  readonly seq: number;
  readonly version: number;
  readonly token_count: number;
}
