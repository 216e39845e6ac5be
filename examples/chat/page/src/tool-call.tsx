import { type DynamicToolUIPart, getToolName, type ToolUIPart } from "ai";
import { ChevronIcon } from "./icons.js";

const OUTPUT_MAX = 4_000;

/** A tool call: what was asked for, and on a click what came back. */
export function ToolCall({
  part,
  mayGrow,
}: {
  readonly part: ToolUIPart | DynamicToolUIPart;
  readonly mayGrow: boolean;
}): React.ReactNode {
  const { input, state } = part;
  const isDone = state === "output-available" || state === "output-error";
  const standing = isDone ? state : mayGrow ? "running" : "left";
  return (
    <details className="tool" data-state={standing}>
      <summary>
        <ChevronIcon />
        <code>{getToolName(part)}</code>
        <span className="input">{summaryOf(input)}</span>
        <span className="state">{STATES[standing]}</span>
      </summary>
      <pre tabIndex={0}>{outputOf(part)}</pre>
    </details>
  );
}

const STATES = {
  running: "runs",
  left: "not finished",
  "output-available": "done",
  "output-error": "failed",
} as const;

/** The arguments, as somebody would say them. */
function summaryOf(input: unknown): string {
  if (typeof input !== "object" || input === null) return "";
  return Object.values(input)
    .map((value) => (Array.isArray(value) ? value.join(", ") : String(value)))
    .join(" · ");
}

function outputOf({ state, output, errorText }: ToolUIPart | DynamicToolUIPart): string {
  if (state === "output-error") return errorText;
  if (state !== "output-available") return "…";
  const text = JSON.stringify(output, null, 2);
  return text.length <= OUTPUT_MAX ? text : `${text.slice(0, OUTPUT_MAX)}…`;
}
