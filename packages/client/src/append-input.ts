import type { OutgoingEvent } from "./outbox-queue.js";
import type { JsonObject, Refs, StateChange } from "./wire.js";

/** What to append. Either `text` or `payload` says it. */
export interface AppendInput {
  /** Short for `payload: { text }`. */
  readonly text?: string;
  /** The event's own data. */
  readonly payload?: JsonObject;
  /** What kind of event it is; `content` if left out. */
  readonly type?: string;
  /** Where it comes from, e.g. `web`. */
  readonly source?: string;
  /** Anything to keep beside the payload. */
  readonly metadata?: JsonObject;
  /** What it points at. */
  readonly refs?: Refs;
  /** Kept and echoed; retries are safe without it. */
  readonly idempotencyKey?: string;
  /** State keys that change with it. */
  readonly state?: StateChange;
}

/** @throws TypeError when it says nothing, or two things */
export function outgoingEvent(input: AppendInput, actor: string | undefined): OutgoingEvent {
  const { text, payload, type = "content", source, metadata, refs, idempotencyKey, state } = input;
  if ((text === undefined) === (payload === undefined))
    throw new TypeError("Append either text or a payload.");
  return {
    type,
    payload: payload ?? { text },
    ...(actor !== undefined && { actor }),
    ...(source !== undefined && { source }),
    ...(metadata !== undefined && { metadata }),
    ...(refs !== undefined && { refs }),
    ...(idempotencyKey !== undefined && { idempotency_key: idempotencyKey }),
    ...(state !== undefined && { state }),
  };
}
