import { type JsonShape, parseJson, type RawJson } from "@daybook/protocol";
import { byteLength } from "./state.js";

/** The event type of messages. */
export const MESSAGE_TYPE = "message";

/** A message: the payload of an event of type `message`. */
export interface Message {
  readonly role: string;
  /** The exact text of a JSON array. */
  readonly parts: string;
  /** The exact text of a JSON object. */
  readonly metadata: string;
  readonly tokenCount: number;
}

const PAYLOAD: JsonShape = {
  members: { role: "value", parts: "raw", metadata: "raw", token_count: "value" },
};
const PARTS: JsonShape = { items: { members: { type: "value", text: "value" } } };
/** Deeper than anything that was let in. */
const DEPTH = { depthMax: 1000 };

/** A message as an event's payload. */
export function encodeMessage({ role, parts, metadata, tokenCount }: Message): string {
  return `{"role":${JSON.stringify(role)},"parts":${parts},"metadata":${metadata},"token_count":${tokenCount}}`;
}

/**
 * The message that a payload is, or undefined when it is none: a role, at least one part, each with a type. What may be
 * left out of it is as if it had been sent that way: no metadata, tokens estimated.
 *
 * Every event of type `message` is asked this, by whichever dialect it came: it decides what is counted and listed.
 */
export function decodeMessage(payload: string): Message | undefined {
  const { role, parts, metadata, token_count } = parseJson(payload, PAYLOAD, DEPTH) as Record<
    string,
    unknown
  >;
  if (typeof role !== "string" || role === "" || !isRaw(parts, "array")) return undefined;
  if (metadata !== undefined && !isRaw(metadata, "object")) return undefined;
  const tokenCount = countTokens(parts.text, token_count);
  if (tokenCount === undefined) return undefined;
  return { role, parts: parts.text, metadata: metadata === undefined ? "{}" : metadata.text, tokenCount };
}

/** Is this event a message? */
export function isMessage(type: string, payload: string): boolean {
  return type === MESSAGE_TYPE && decodeMessage(payload) !== undefined;
}

/**
 * How many tokens a message has: as many as was said, if that is a count; else of each text a quarter of its bytes.
 * Undefined for parts that make no message.
 *
 * @param parts the text of a JSON array
 */
export function countTokens(parts: string, said: unknown): number | undefined {
  const list = parseJson(parts, PARTS, DEPTH) as unknown[];
  let estimate = 0;
  for (const part of list) {
    if (!isPart(part)) return undefined;
    if (typeof part.text === "string") estimate += Math.floor(byteLength(part.text) / 4);
  }
  if (list.length === 0) return undefined;
  return isCount(said) ? said : estimate;
}

function isPart(part: unknown): part is { type: string; text?: unknown } {
  return typeof part === "object" && part !== null && typeof (part as { type?: unknown }).type === "string";
}

function isRaw(value: unknown, kind: RawJson["kind"]): value is RawJson {
  return (value as RawJson | undefined)?.kind === kind;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
