import { decideClose, decidePut, type LogId } from "@daybook/core";
import type { MessageQuery, Session } from "@daybook/engine";
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
    const isNew = this.sessions.engine.head(id) === undefined;
    await this.sessions.engine.transact(id, { header: true }, (head, facts) =>
      decidePut(head, facts, command),
    );
    if (isNew) this.sessions.activity.began(id);
    return this.get(id);
  }

  get(id: LogId): Promise<Session> {
    return inConversationTerms(this.sessions.get(id));
  }

  tombstone(id: LogId): Promise<void> {
    return inConversationTerms(this.sessions.engine.transact(id, {}, (head) => decideClose(head)));
  }

  /** Appends a message to a conversation that is there; one that is sent again answers what it became. */
  async append(id: LogId, { event, tokenCount, ifVersion }: AppendMessageCommand): Promise<AppendedMessage> {
    const command = {
      events: [event],
      batch: false,
      ...(ifVersion !== undefined && { expectedSeq: ifVersion }),
    };
    const { results, lastSeq } = await inConversationTerms(this.sessions.append(id, command));
    return { seq: results[0]?.seq ?? lastSeq, version: lastSeq, tokenCount };
  }

  /**
   * A page of messages, oldest first, piece by piece: however large it is, little of it is in memory at once. Of a
   * conversation that is not there, there are none.
   */
  async *messages(id: LogId, query: MessageQuery): AsyncGenerator<StoredMessage> {
    const head = this.sessions.engine.head(id);
    if (head === undefined || head.status === "deleted") return;
    try {
      for await (const event of this.sessions.messages(id, query)) {
        const message = messageOf(event);
        if (message === undefined) throw new Error("broken invariant: a message that is none");
        yield message;
      }
    } catch (error) {
      throw conversationError(error);
    }
  }
}

/** The same refusals in this dialect's words. */
async function inConversationTerms<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    throw conversationError(error);
  }
}

function conversationError(error: unknown): unknown {
  if (!(error instanceof DaybookError)) return error;
  if (error.code === "session_not_found") return conversationNotFound();
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

export function conversationNotFound(): DaybookError {
  return new DaybookError(
    "conversation_not_found",
    "There is no conversation with this id. Create it with PUT /v1/conversations/ID.",
  );
}
