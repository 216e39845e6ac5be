import { byteLength } from "./state.js";
import { type JsonShape, LIMITS, parseJson, type RawJson } from "@daybook/protocol";

const MEMBERS: JsonShape = { values: "raw" };

/** The members of a session's metadata that lists can be filtered by: top-level scalars of moderate size, as text. */
export function indexedMembers(metadata: string): [string, string][] {
  if (metadata === "{}") return [];
  const members: [string, string][] = [];
  const values = parseJson(metadata, MEMBERS, { depthMax: 1000 }) as Map<string, RawJson>;
  for (const [name, value] of values) {
    if (value.kind === "object" || value.kind === "array") continue;
    const text = value.kind === "string" ? (JSON.parse(value.text) as string) : value.text;
    const member = indexable(name, text);
    if (member !== undefined) members.push(member);
  }
  return members;
}

/**
 * A metadata member as it stands in keys, which cannot hold a NUL: escaped as JSON does, so that no two texts meet.
 * Undefined for one too large to be indexed.
 */
export function indexable(name: string, value: string): [string, string] | undefined {
  const texts = [name, value];
  const fits = texts.every((text) => byteLength(text) <= LIMITS.indexedMetadataBytesMax);
  if (!fits) return undefined;
  return [escapedForKey(name), escapedForKey(value)];
}

function escapedForKey(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
