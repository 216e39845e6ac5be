import type { CommandFailure } from "./failures.js";
import { ServerRefusal, ServerUnreachable } from "./failures.js";
import { isWorthAnotherTry, retryAfterMs } from "./retry-policy.js";
import { refusalOf } from "./server-client.js";
import type { TailEnd } from "./tail-socket.js";

/** What to do when a tail's socket has ended. */
export type Verdict =
  | { readonly kind: "again"; readonly failure: CommandFailure; readonly notBeforeMs: number }
  | { readonly kind: "over"; readonly failure: CommandFailure };

/** Close codes of the raw tail that a new socket would not change. */
const FINAL_CLOSES = new Map<number, readonly [code: string, message: string]>([
  [4001, ["token_expired", "the token is no longer valid; take a new one and go on from the last cursor"]],
  [4004, ["session_deleted", "the session was deleted while it was followed"]],
]);

export function judgeTailEnd(end: TailEnd, baseUrl: string): Verdict {
  switch (end.kind) {
    case "closed":
      return judgeClose(end.code, end.reason, baseUrl);
    case "refused": {
      const failure = refusalOf(end);
      if (!isWorthAnotherTry(failure.status, failure.code, true)) return { kind: "over", failure };
      return { kind: "again", failure, notBeforeMs: retryAfterMs(end.retryAfter) };
    }
    case "failed": {
      const failure = new ServerUnreachable(`${baseUrl} does not answer: ${end.message}`);
      return { kind: "again", failure, notBeforeMs: 0 };
    }
  }
}

function judgeClose(code: number, reason: string, baseUrl: string): Verdict {
  const final = FINAL_CLOSES.get(code);
  if (final !== undefined) {
    // The reason is the finer word: 4001 is token_expired or token_invalid.
    const failure = new ServerRefusal(reason === "" ? final[0] : reason, code, final[1]);
    return { kind: "over", failure };
  }
  const why = `${baseUrl} closed the connection (${code}${reason === "" ? "" : ` ${reason}`})`;
  return { kind: "again", failure: new ServerUnreachable(why), notBeforeMs: 0 };
}
