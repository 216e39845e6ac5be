import { parseJson, type RawJson } from "@daybook/protocol/parse-json";

/** A session's record for people: one member a line, values as the server wrote them. */
export function showRecord(record: string): string {
  const members = parseJson(record, { values: "raw" }, { depthMax: 512 });
  if (!(members instanceof Map)) return record;
  const rows: [string, string][] = [];
  for (const [name, value] of members as Map<string, RawJson>) {
    if (name === "creator_principal") rows.push(["creator", creatorOf(value)]);
    else if (name === "forked_from") rows.push(["forked from", originOf(value)]);
    else rows.push([name.replaceAll("_", " "), value.kind === "string" ? shown(value.text) : value.text]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

function creatorOf(value: RawJson): string {
  const { type, id } = JSON.parse(value.text) as { type: string; id: string };
  return `${type}:${id}`;
}

function originOf(value: RawJson): string {
  const { session_id: id, seq } = JSON.parse(value.text) as { session_id: string; seq: number };
  return `${id} at ${seq}`;
}

/** A string without its quotes; with them when it holds something that would not show as it is. */
function shown(json: string): string {
  const text = JSON.parse(json) as string;
  return JSON.stringify(text) === `"${text}"` ? text : json;
}
