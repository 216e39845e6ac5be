import type { Paint } from "./paint.js";
import type { ReceivedEvent } from "./read-event.js";

/**
 * An event for people: `[drafter] Drafting clause 4.2…`, the actor without its type, then what the payload says.
 * Lines after the first are set in, so that no text can pass itself off as the next event.
 */
export function renderEvent(event: ReceivedEvent, paint: Paint): string {
  const actor = event.actor.slice(event.actor.indexOf(":") + 1);
  const text = spokenText(event) ?? `${event.type} ${compactJson(event.payload)}`;
  return `${paintName(`[${plain(actor)}]`, event.actor, paint)} ${plain(text).replaceAll("\n", "\n  ")}`;
}

/** `text`; or, of what `daybook exec` records, the `line`. */
function spokenText(event: ReceivedEvent): string | undefined {
  const payload = JSON.parse(event.payload) as { text?: unknown; line?: unknown; stream?: unknown };
  if (typeof payload.text === "string") return payload.text;
  const isOutput = payload.stream === "stdout" || payload.stream === "stderr";
  return isOutput && typeof payload.line === "string" ? payload.line : undefined;
}

/** Control characters would let an event's text drive the reader's terminal: they are shown, not obeyed. */
export function plain(text: string): string {
  return text.replace(
    // eslint-disable-next-line no-control-regex -- these are the characters in question.
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** Without the whitespace between values; everything else exactly as it is. */
export function compactJson(json: string): string {
  return json.replace(/("(?:[^"\\]+|\\.)*")|[\s]+/g, "$1");
}

const ACTOR_COLOURS = [
  "cyan",
  "green",
  "yellow",
  "magenta",
  "blue",
  "cyanBright",
  "greenBright",
  "magentaBright",
] as const;

/** The same name has the same colour every time, in every terminal. */
export function paintName(text: string, actor: string, paint: Paint): string {
  let hash = 0;
  for (let index = 0; index < actor.length; index++) hash = (hash * 31 + actor.charCodeAt(index)) >>> 0;
  return paint[ACTOR_COLOURS[hash % ACTOR_COLOURS.length] ?? "cyan"](text);
}
