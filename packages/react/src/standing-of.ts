import type { SessionEvent } from "@daybook/client";
import type { UIMessage } from "ai";
import type { MessageReader } from "./answer.js";
import { ChatLog } from "./chat-log.js";
import type { ChatStanding } from "./chat-standing.js";

/** For whoever wants to know who writes what, and no messages. */
export const readNothing: MessageReader<UIMessage> = async function* () {
  // There is nothing to give.
};

/** Where a chat stands after these events; known at once, while messages are read asynchronously. */
export function standingOf(events: readonly SessionEvent[]): ChatStanding<UIMessage> {
  const log = new ChatLog<UIMessage>(readNothing);
  for (const event of events) log.push(event);
  return log.standing;
}
