import type { DaybookError } from "@daybook/protocol";
import { isExpired } from "../auth/authenticator.js";
import { asDaybookError } from "../http/send-error.js";
import type { Reply } from "./phoenix-socket.js";

/** Why a join or a push was refused: the error's code, but an expired token has a word of its own. */
export function reasonOf(error: DaybookError): string {
  return isExpired(error) ? "token_expired" : error.code;
}

/** The reply to a push that was refused: a reason, as channels have it, and what REST would have answered. */
export function refusedPush(error: unknown): Reply {
  const refusal = asDaybookError(error);
  return {
    status: "error",
    response: JSON.stringify({ reason: reasonOf(refusal), ...refusal.toBody() }),
  };
}
