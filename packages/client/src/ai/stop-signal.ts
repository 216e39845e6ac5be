import type { Session } from "../session.js";
import type { SessionEvent } from "../wire.js";
import { isStop } from "./chat-envelope.js";

/** Somebody asked for an answer to be ended. */
export class Stopped extends Error {
  override readonly name = "AbortError";
}

/**
 * A signal that aborts with the first `chat.stop` after a seq that is meant for this session's actor, or when `ends` says
 * so, or with another signal. Call `stop` when it is not needed any more.
 */
export function stopSignal(
  session: Session,
  after: number,
  {
    signal,
    ends,
  }: {
    readonly signal?: AbortSignal | undefined;
    readonly ends?: (event: SessionEvent) => Error | undefined;
  },
): { readonly signal: AbortSignal; readonly stop: () => void } {
  const abort = new AbortController();
  const watching = new AbortController();
  const passOn = (): void => abort.abort(signal?.reason);
  if (signal?.aborted === true) passOn();
  signal?.addEventListener("abort", passOn);
  // Whoever cannot follow the session cannot be stopped: that is said at once.
  const events = session.events({ cursor: after, signal: watching.signal });
  void watch();
  async function watch(): Promise<void> {
    try {
      for await (const event of events) {
        const why = isStop(event, session.actor) ? new Stopped("It was stopped.") : ends?.(event);
        if (why !== undefined) {
          abort.abort(why);
          return;
        }
      }
    } catch {
      // What ends the tail ends the appends too, and is said there.
    }
  }
  return {
    signal: abort.signal,
    stop: () => {
      watching.abort();
      signal?.removeEventListener("abort", passOn);
    },
  };
}
