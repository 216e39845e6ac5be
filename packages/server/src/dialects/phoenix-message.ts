import { type JsonShape, LIMITS, parseJson, RawJson } from "@daybook/protocol";

/**
 * Phoenix channel messages, both serializers:
 *
 *     2.0.0   [join_ref, ref, topic, event, payload]
 *     1.0.0   {"join_ref", "ref", "topic", "event", "payload"}
 *
 * The payload stays text: an append in it must keep its exact spelling.
 */
export interface PhoenixMessage {
  readonly joinRef: string | null;
  readonly ref: string | null;
  readonly topic: string;
  readonly event: string;
  readonly payload: string;
}

export type Serializer = "1.0.0" | "2.0.0";

const ARRAY: JsonShape = { items: "raw" };
const OBJECT: JsonShape = {
  members: { join_ref: "raw", ref: "raw", topic: "raw", event: "raw", payload: "raw" },
};
/** An envelope around what a body may hold. */
const DEPTH = { depthMax: LIMITS.jsonDepthMax + 4 };

/** Refs are remembered as long as a topic is joined; clients count. */
const REF_CHARACTERS_MAX = 256;

/** Reads a message, or nothing when it is none. */
export function decodeMessage(text: string, serializer: Serializer): PhoenixMessage | undefined {
  try {
    if (serializer === "2.0.0") {
      const parts = parseJson(text, ARRAY, DEPTH);
      return Array.isArray(parts) && parts.length === 5 ? ofParts(parts) : undefined;
    }
    const value = parseJson(text, OBJECT, DEPTH) as Record<string, RawJson> | null;
    if (typeof value !== "object" || value === null) return undefined;
    return ofParts([value.join_ref, value.ref, value.topic, value.event, value.payload]);
  } catch {
    // Not JSON: there is no ref to answer to.
    return undefined;
  }
}

function ofParts(parts: readonly unknown[]): PhoenixMessage | undefined {
  const [joinRef, ref, topic, event, payload] = parts;
  const topicText = stringOf(topic);
  const eventText = stringOf(event);
  const joinRefText = stringOf(joinRef) ?? null;
  const refText = stringOf(ref) ?? null;
  if (topicText === undefined || eventText === undefined) return undefined;
  if ((joinRefText?.length ?? 0) > REF_CHARACTERS_MAX || (refText?.length ?? 0) > REF_CHARACTERS_MAX)
    return undefined;
  return {
    joinRef: joinRefText,
    ref: refText,
    topic: topicText,
    event: eventText,
    payload: payload instanceof RawJson ? payload.text : "{}",
  };
}

/** Refs are strings; numbers are taken as well, and sent back as text. */
function stringOf(part: unknown): string | undefined {
  if (!(part instanceof RawJson)) return undefined;
  if (part.kind === "string") return JSON.parse(part.text) as string;
  return part.kind === "number" ? part.text : undefined;
}

/** The text before and after a payload: the payload itself may be shared by many subscribers. */
export function envelope(
  { joinRef, ref, topic, event }: Omit<PhoenixMessage, "payload">,
  serializer: Serializer,
): readonly [before: string, after: string] {
  const [join, own, name, kind] = [joinRef, ref, topic, event].map((part) => JSON.stringify(part));
  return serializer === "2.0.0"
    ? [`[${join ?? ""},${own ?? ""},${name ?? ""},${kind ?? ""},`, "]"]
    : [
        `{"join_ref":${join ?? ""},"ref":${own ?? ""},"topic":${name ?? ""},"event":${kind ?? ""},"payload":`,
        "}",
      ];
}
