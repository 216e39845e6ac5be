import { parseJson, type JsonShape, type RawJson, sameJson } from "@daybook/protocol";
import type { EventEntry } from "./entry.js";
import { isMessage } from "./message.js";
import type { StateChange } from "./state.js";

/** An event as a client sent it, checked, with its actor settled. */
export interface NewEvent {
  readonly type: string;
  readonly payload: string;
  readonly actor: string;
  readonly producer: { readonly id: string; readonly seq: number } | null;
  readonly source?: string;
  readonly metadata?: string;
  readonly refs?: string;
  readonly idempotencyKey?: string;
  readonly state?: StateChange;
}

/** The producer that stands in the JSON of events the server numbers itself. */
const SERVER_PRODUCER = "daybook";

/** Is this a message that the server had numbered, wherever it was written? */
export function isServerNumbered({ type, payload, producer }: NewEvent, seq: number): boolean {
  return producer?.id === SERVER_PRODUCER && producer.seq === seq && isMessage(type, payload);
}

/**
 * An event's JSON, as it is stored and sent; the dialect adds the tenant in front. Small members first: recovery
 * reads the producer without walking over the payload.
 */
export function encodeEvent(event: NewEvent, seq: number, insertedAt: string): string {
  const producer = event.producer ?? { id: SERVER_PRODUCER, seq };
  return (
    `{"seq":${seq},"cursor":${seq},"inserted_at":"${insertedAt}","type":${quote(event.type)}` +
    `,"actor":${quote(event.actor)},"producer_id":${quote(producer.id)},"producer_seq":${producer.seq}` +
    (event.source === undefined ? "" : `,"source":${quote(event.source)}`) +
    `,"idempotency_key":${event.idempotencyKey === undefined ? "null" : quote(event.idempotencyKey)}` +
    `,"metadata":${event.metadata ?? "{}"},"refs":${event.refs ?? "{}"},"payload":${event.payload}` +
    (event.state === undefined ? "}" : `,"state":${event.state.text}}`)
  );
}

/** What an event counts as in its log: made of what is stored, so that recovery says the same. */
export function foldedAs(
  event: Pick<NewEvent, "type" | "payload" | "idempotencyKey">,
  producer: EventEntry["producer"],
): Pick<EventEntry, "producer" | "isMessage" | "idempotencyKey"> {
  const counts = isMessage(event.type, event.payload);
  return {
    producer,
    isMessage: counts,
    idempotencyKey: counts && producer === null ? event.idempotencyKey : undefined,
  };
}

/** JSON.stringify is slow for what nearly every name is: a few plain characters. */
function quote(text: string): string {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || unit > 0x7e || unit === 0x22 || unit === 0x5c) return JSON.stringify(text);
  }
  return `"${text}"`;
}

const STORED: JsonShape = {
  members: {
    inserted_at: "value",
    type: "value",
    actor: "value",
    producer_id: "value",
    producer_seq: "value",
    source: "value",
    idempotency_key: "value",
    metadata: "raw",
    refs: "raw",
    payload: "raw",
    state: "raw",
  },
};

export interface StoredEvent {
  readonly inserted_at: string;
  readonly type: string;
  readonly actor: string;
  readonly producer_id: string;
  readonly producer_seq: number;
  readonly source?: string;
  readonly idempotency_key: string | null;
  readonly metadata: RawJson;
  readonly refs: RawJson;
  readonly payload: RawJson;
  readonly state?: RawJson;
}

/** Reads a stored event back, keeping the exact texts. Depth was bounded when it came in. */
export function decodeEvent(json: string): StoredEvent {
  return parseJson(json, STORED, { depthMax: 1000 }) as StoredEvent;
}

/** Is this the event that was stored, sent again? All client fields count, compared as canonical JSON. */
export function sameContent(storedJson: string, event: NewEvent): boolean {
  const stored = decodeEvent(storedJson);
  return (
    stored.type === event.type &&
    stored.actor === event.actor &&
    stored.source === event.source &&
    stored.idempotency_key === (event.idempotencyKey ?? null) &&
    sameJson(stored.payload.text, event.payload) &&
    sameJson(stored.metadata.text, event.metadata ?? "{}") &&
    sameJson(stored.refs.text, event.refs ?? "{}") &&
    sameJson(stored.state?.text ?? "{}", event.state?.text ?? "{}")
  );
}
