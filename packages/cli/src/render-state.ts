import { parseJson, type RawJson } from "@daybook/protocol/parse-json";
import { DEPTH } from "./agent-calls.js";
import type { ReceivedCommit } from "./follow-commits.js";
import type { Paint } from "./paint.js";
import { compactJson, paintName, plain } from "./render-event.js";

const TOKEN = /"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** JSON with a member or an item a line, every text and number as it is. */
export function indentJson(json: string): string {
  let [text, indent] = ["", ""];
  const tokens = json.match(TOKEN) ?? [];
  for (const [index, token] of tokens.entries()) {
    const closes = token === "}" || token === "]";
    const isEmpty = closes && /^[{[]$/.test(tokens[index - 1] ?? "");
    if (closes) indent = indent.slice(2);
    if (closes && !isEmpty) text += `\n${indent}`;
    text += token === ":" ? ": " : token;
    if (token === "{" || token === "[") indent += "  ";
    const opened = (token === "{" || token === "[") && !/^[}\]]$/.test(tokens[index + 1] ?? "");
    if (opened || token === ",") text += `\n${indent}`;
  }
  return plain(text);
}

const VALUE_SHOWN_MAX = 100;

/** A value on one line, cut when it is long. */
export function shownValue(value: RawJson | undefined): string {
  if (value === undefined) return "(deleted)";
  const text = plain(compactJson(value.text));
  return text.length <= VALUE_SHOWN_MAX ? text : `${text.slice(0, VALUE_SHOWN_MAX - 1)}…`;
}

/** A transaction: a line for itself, and one for each operation. */
export function renderCommit(
  { txn_id, commit_ts, committed_at, actor, operations }: ReceivedCommit,
  paint: Paint,
  verbose: boolean,
): string {
  const head = `${paint.bold(`commit ${commit_ts}`)}  ${committed_at}  ${paintName(plain(actor), actor, paint)}  ${paint.dim(txn_id)}`;
  const lines = operations.map(({ key, version, value }) => {
    const name = `  ${plain(key)} v${version}`;
    if (value === undefined) return `${name} ${paint.red("(deleted)")}`;
    return verbose ? `${name}\n${setIn(indentJson(value.text))}` : `${name} ${shownValue(value)}`;
  });
  return [head, ...lines].join("\n");
}

function setIn(text: string): string {
  return text.replace(/^/gm, "    ");
}

interface Side {
  readonly key: string;
  readonly version: number;
  readonly value?: RawJson;
}

const SIDE = { members: { key: "value", version: "value", value: "raw" } } as const;
const DIFF = {
  members: {
    added: { items: SIDE },
    changed: { items: { members: { key: "value", before: SIDE, after: SIDE } } },
    removed: { items: SIDE },
  },
} as const;

/** What changed, as `diff` shows it: `+` added, `~` changed, `-` removed, by key. Empty: nothing did. */
export function renderDiff(json: string, paint: Paint): string {
  const { added, changed, removed } = parseJson(json, DIFF, DEPTH) as {
    added: Side[];
    changed: { key: string; before: Side; after: Side }[];
    removed: Side[];
  };
  const lines: { readonly key: string; readonly line: string }[] = [
    ...added.map((one) => ({ key: one.key, line: paint.green(`+ ${sideText(one)}`) })),
    ...removed.map((one) => ({ key: one.key, line: paint.red(`- ${sideText(one)}`) })),
    ...changed.map(({ key, before, after }) => ({
      key,
      line:
        `${paint.yellow(`~ ${plain(key)}`)}\n` +
        `    ${paint.red(`v${before.version} ${shownValue(before.value)}`)}\n` +
        `    ${paint.green(`v${after.version} ${shownValue(after.value)}`)}`,
    })),
  ];
  return lines
    .sort((one, other) => (one.key < other.key ? -1 : 1))
    .map(({ line }) => line)
    .join("\n");
}

const sideText = ({ key, version, value }: Side): string => `${plain(key)} v${version} ${shownValue(value)}`;
