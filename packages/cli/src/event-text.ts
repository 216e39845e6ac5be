import { JsonSyntaxError, parseJson, type RawJson } from "@daybook/protocol/parse-json";
import { messageOf } from "./failures.js";

/**
 * An event on its way to the server: member names and the exact JSON text of each value. Texts and not values,
 * because a number such as 1.0 or 12345678901234567890 would not survive being parsed.
 */
export type EventMembers = ReadonlyMap<string, string>;

/** Nothing deeper gets past the server; this only keeps the stack safe. */
const DEPTH_MAX = 512;

/**
 * Opens one JSON object, keeping the text of what is in it.
 * @throws Error with a sentence when the text is no JSON object.
 */
export function openObject(text: string): Map<string, string> {
  let value: unknown;
  try {
    value = parseJson(text, { values: "raw" }, { depthMax: DEPTH_MAX });
  } catch (error) {
    if (error instanceof JsonSyntaxError)
      throw new Error(`is not JSON: ${messageOf(error)}`, { cause: error });
    throw error;
  }
  if (!(value instanceof Map)) throw new Error("must be a JSON object, like {…}");
  const members = new Map<string, string>();
  for (const [name, raw] of value as Map<string, RawJson>) members.set(name, raw.text);
  return members;
}

export function writeObject(members: EventMembers): string {
  const parts: string[] = [];
  for (const [name, text] of members) parts.push(`${JSON.stringify(name)}:${text}`);
  return `{${parts.join(",")}}`;
}

/** The event with the pair that makes a retry of it harmless. */
export function withProducer(event: EventMembers, id: string, seq: number): Map<string, string> {
  return new Map([...event, ["producer_id", JSON.stringify(id)], ["producer_seq", String(seq)]]);
}

/** A line feed in JSON can only be whitespace (strings have it escaped), so a space in its place says the same. */
export function onOneLine(json: string): string {
  return json.replace(/[\r\n]/g, " ");
}
