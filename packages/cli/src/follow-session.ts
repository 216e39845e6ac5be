import { CommandFailure, Interrupted } from "./failures.js";
import type { Clock } from "./io.js";
import { judgeTailEnd } from "./judge-tail-end.js";
import { type ReceivedEvent, readEvent } from "./read-event.js";
import { retryDelayMs } from "./retry-policy.js";
import type { Connection } from "./connection.js";
import { PATIENCE_MS } from "./server-client.js";
import { openTailSocket, type TailRequest } from "./tail-socket.js";

export interface FollowOptions {
  readonly connection: Connection;
  readonly request: TailRequest;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly say: (message: string) => void;
}

/**
 * Follows a session for as long as it lasts. When the connection breaks it goes on, from its own cursor, on a new one:
 * for ever once it has heard from the server, and for a little while before that.
 *
 * @yields each event once, in order.
 * @throws CommandFailure when the server refuses, the session is deleted, or the token expires.
 */
export async function* followSession(options: FollowOptions): AsyncGenerator<ReceivedEvent> {
  const { clock, signal, connection } = options;
  const startedMs = clock.now();
  let { cursor } = options.request;
  let hasHeard = false;
  let failures = 0;
  while (!signal.aborted) {
    const socket = openTailSocket(connection, { ...options.request, cursor }, signal);
    for await (const text of socket.frames) {
      const event = readEvent(text);
      checkOrder(event.seq, cursor, options.request.agent);
      cursor = event.seq;
      hasHeard = true;
      failures = 0;
      yield event;
    }
    const end = await socket.ended;
    if (isAborted(signal)) break;
    if (end.kind === "closed") hasHeard = true;
    const verdict = judgeTailEnd(end, connection.baseUrl);
    if (verdict.kind === "over") throw verdict.failure;
    failures++;
    const delayMs = Math.max(retryDelayMs(failures, clock.random()), verdict.notBeforeMs);
    if (!hasHeard && clock.now() + delayMs - startedMs > PATIENCE_MS) throw verdict.failure;
    if (failures === 1)
      options.say(`${verdict.failure.message}; going on from cursor ${cursor} when it is back`);
    await clock.sleep(delayMs, signal).catch(() => undefined);
  }
  throw new Interrupted();
}

/** A call and not the property itself, which the compiler believes to be what it was before the wait. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** A tail never skips and never repeats. One that does must be seen, not smoothed over. */
function checkOrder(seq: number, cursor: number, agent: string | undefined): void {
  const isRight = agent === undefined ? seq === cursor + 1 : seq > cursor;
  if (!isRight) throw new CommandFailure(`the tail is broken: after cursor ${cursor} came seq ${seq}`);
}
