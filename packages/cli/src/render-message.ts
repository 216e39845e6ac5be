import type { MessagePart, ReceivedMessage } from "./conversation-calls.js";
import type { Paint } from "./paint.js";
import { paintName, plain } from "./render-event.js";

/**
 * A message for people: `assistant: It is warm.` Lines after the first are set in, so that no text can pass itself off as the
 * next message; what is no text is named.
 */
export function renderMessage({ role, parts }: ReceivedMessage, paint: Paint): string {
  const said = parts.map((part) => renderPart(part, paint)).filter((text) => text !== "");
  return `${paintName(`${plain(role)}:`, role, paint)} ${said.join("\n").replaceAll("\n", "\n  ")}`;
}

function renderPart(part: MessagePart, paint: Paint): string {
  const { type, text } = part;
  if (typeof text === "string") return type === "reasoning" ? paint.dim(plain(text)) : plain(text);
  // It only says where one step of an answer ends.
  if (type === "step-start") return "";
  const name = [part["toolName"], part["filename"], part["url"]].find((one) => typeof one === "string");
  return paint.dim(
    `[${plain(type)}${typeof name === "string" ? ` ${plain(name).slice(0, NAME_SHOWN_MAX)}` : ""}]`,
  );
}

/** A file may stand in its URL, as data. */
const NAME_SHOWN_MAX = 80;
