import { decideAppend, decideClose, decidePut, type LogId } from "@daybook/core";
import type { Session } from "@daybook/engine";
import { DaybookError } from "@daybook/protocol";
import type { Caller } from "./caller.js";
import { messageOf, type StoredMessage } from "./message-json.js";
import type { AppendMessageCommand } from "./read-conversation.js";
import type { SessionService } from "./session-service.js";

export interface AppendedMessage {
  readonly seq: number;
  /** The conversation's last seq then. */
  readonly version: number;
  readonly tokenCount: number;
}

/** Sessions read as messages. A conversation and a session of one id are one log. */
export class ConversationService {
  constructor(readonly sessions: SessionService) {}

  /** Creates the conversation, or replaces its metadata; a tombstoned one takes messages again. */
  async put(caller: Caller, id: LogId, metadata: string): Promise<Session> {
    const { type, id: creatorId } = caller.principal;
    const command = { session: id, creator: { type, id: creatorId }, metadata };
    await this.sessions.engine.transact(id, { header: true }, (head, facts) =>
      decidePut(head, facts, command),
    );
    return this.get(id);
  }

  get(id: LogId): Promise<Session> {
    return inConversationTerms(this.sessions.get(id));
  }

  tombstone(id: LogId): Promise<void> {
    return inConversationTerms(this.sessions.engine.transact(id, {}, (head) => decideClose(head)));
  }

  /** Appends a message to a conversation that is there. The server numbers it: it takes no producer's place. */
  async append(id: LogId, { event, tokenCount, ifVersion }: AppendMessageCommand): Promise<AppendedMessage> {
    const command = {
      events: [event],
      batch: false,
      ...(ifVersion !== undefined && { expectedSeq: ifVersion }),
    };
    const appended = this.sessions.engine.transact(id, {}, (head, facts, now) =>
      decideAppend(head, facts, command, now),
    );
    const { results, lastSeq } = await inConversationTerms(appended);
    return { seq: results[0]?.seq ?? lastSeq, version: lastSeq, tokenCount };
  }

  /** The page of messages that ends `offset` messages before the newest, oldest first. */
  async tail(id: LogId, { limit, offset }: { limit: number; offset: number }): Promise<StoredMessage[]> {
    const messages = await this.all(id);
    const end = Math.max(0, messages.length - offset);
    return messages.slice(Math.max(0, end - limit), end);
  }

  /** The messages from a seq on. */
  async from(id: LogId, { from, limit }: { from: number; limit: number }): Promise<StoredMessage[]> {
    const messages = await this.all(id);
    return messages.filter(({ seq }) => seq >= from).slice(0, limit);
  }

  private async all(id: LogId): Promise<StoredMessage[]> {
    const head = this.sessions.engine.head(id);
    const messages: StoredMessage[] = [];
    if (head === undefined || head.status === "deleted") return messages;
    for (let cursor = 0; cursor < head.lastSeq;) {
      const { events } = await this.sessions.page(id, cursor, 1_000);
      messages.push(...events.map(messageOf).filter((message) => message !== undefined));
      cursor = events.at(-1)?.seq ?? head.lastSeq;
    }
    return messages;
  }
}

/** The same refusals in this dialect's words. */
async function inConversationTerms<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof DaybookError ? conversationError(error) : error;
  }
}

function conversationError(error: DaybookError): DaybookError {
  if (error.code === "session_not_found") {
    return new DaybookError(
      "conversation_not_found",
      "There is no conversation with this id. Create it with PUT /v1/conversations/ID.",
    );
  }
  if (error.code === "session_closed") {
    return new DaybookError(
      "conversation_tombstoned",
      "The conversation is tombstoned: it takes no more messages. PUT /v1/conversations/ID opens it again.",
    );
  }
  if (error.code === "expected_seq_conflict")
    return new DaybookError("conflict", `Version mismatch (current: ${Number(error.details.current_seq)})`);
  return error;
}
