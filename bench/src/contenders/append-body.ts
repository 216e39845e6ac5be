import type { Appended, NewEvent } from "./store.js";

/** An event as it is sent. What else it holds is kept. */
export const EVENT = {
  type: "object",
  required: ["type", "payload", "producer_id", "producer_seq"],
  properties: {
    type: { type: "string", minLength: 1, maxLength: 256 },
    payload: { type: "object" },
    producer_id: { type: "string", minLength: 1, maxLength: 256 },
    producer_seq: { type: "integer", minimum: 1 },
    actor: { type: "string" },
    source: { type: "string" },
    metadata: { type: "object" },
    refs: { type: "object" },
    idempotency_key: { type: "string" },
  },
} as const;

export const APPEND = {
  oneOf: [
    EVENT,
    {
      type: "object",
      required: ["events"],
      properties: { events: { type: "array", minItems: 1, maxItems: 1_000, items: EVENT } },
    },
  ],
} as const;

export interface EventBody {
  readonly type: string;
  readonly producer_id: string;
  readonly producer_seq: number;
}

export type AppendBody = EventBody | { readonly events: readonly EventBody[] };

/** The same by hand, for what does not come through a route: a WebSocket's messages. */
export function isAppendBody(value: unknown): value is AppendBody {
  if (!isObject(value)) return false;
  const { events } = value;
  if (events === undefined) return isEvent(value);
  return Array.isArray(events) && events.length >= 1 && events.length <= 1_000 && events.every(isEvent);
}

function isEvent(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { type, payload, producer_id: producerId, producer_seq: producerSeq } = value;
  return (
    isName(type) &&
    isObject(payload) &&
    isName(producerId) &&
    Number(producerSeq) >= 1 &&
    Number.isSafeInteger(producerSeq)
  );
}

function isName(value: unknown): boolean {
  return typeof value === "string" && value.length >= 1 && value.length <= 256;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function newEvents(body: AppendBody): NewEvent[] {
  return listOf(body).map((event) => ({
    producerId: event.producer_id,
    producerSeq: event.producer_seq,
    json: JSON.stringify(event),
  }));
}

export function appendAnswer({ results, lastSeq }: Appended, body: AppendBody): unknown {
  return "events" in body ? { results, last_seq: lastSeq } : { ...results[0], last_seq: lastSeq };
}

function listOf(body: AppendBody): readonly EventBody[] {
  return "events" in body ? body.events : [body];
}
