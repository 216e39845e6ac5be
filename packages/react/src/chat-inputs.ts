import type { AppendInput } from "@daybook/client";
import { STOP, USER_MESSAGE } from "@daybook/client/ai";
import type { UIMessage } from "ai";

/** A message as it is appended. */
export function messageInput(message: UIMessage, metadata?: AppendInput["metadata"]): AppendInput {
  const payload = { kind: USER_MESSAGE, message };
  return { type: USER_MESSAGE, payload, ...(metadata !== undefined && { metadata }) };
}

/** Ends the answers that are being written. */
export const STOP_INPUT: AppendInput = { type: STOP, payload: { kind: STOP } };
