import { messagesFrom, type ReceivedMessage } from "./conversation-calls.js";
import { followSession, type FollowOptions } from "./follow-session.js";
import type { ServerClient } from "./server-client.js";

/** The event type of messages; what else makes one, the server knows. */
const MESSAGE = "message";

/**
 * Follows a conversation: the session's tail says that there is something, and what it is, is read as messages.
 *
 * @yields each message once, in order.
 * @throws CommandFailure when the server refuses, the session is deleted, or the token expires.
 */
export async function* followConversation(
  client: ServerClient,
  options: FollowOptions,
): AsyncGenerator<ReceivedMessage> {
  const { session, cursor } = options.request;
  let next = cursor + 1;
  for await (const { seq, type } of followSession(options)) {
    if (type !== MESSAGE || seq < next) continue;
    const messages = await messagesFrom(client, session, next);
    for (const message of messages) {
      next = message.seq + 1;
      yield message;
    }
    // Further pages come with their own events; an event that is no message is passed over.
    next = Math.max(next, messages.length === 0 ? seq + 1 : next);
  }
}
