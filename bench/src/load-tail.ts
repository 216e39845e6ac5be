import { openWebSocket } from "./load-stream.js";
import type { Target } from "./load-task.js";

export interface TailOptions {
  readonly id: string;
  /** Called for every event once it is complete. It is not looked at. */
  readonly onFrame: () => void;
  /** False: opens it and reads nothing. */
  readonly reading?: boolean;
}

/** A connection that follows a session. */
export interface TailConnection {
  close(): void;
}

/** A raw WebSocket tail from the first event on. It counts frames by their headers. */
export async function openTail(
  target: Target,
  { id, onFrame, reading = true }: TailOptions,
): Promise<TailConnection> {
  const path = `/v1/sessions/${id}/tail`;
  const socket = await openWebSocket(target, path, { onText: onFrame, reading });
  return { close: () => socket.destroy() };
}
