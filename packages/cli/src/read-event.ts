import { parseJson, type RawJson } from "@daybook/protocol/parse-json";
import { CommandFailure, messageOf } from "./failures.js";

/** What the CLI itself needs to know of an event; `text` is the event as received. */
export interface ReceivedEvent {
  readonly seq: number;
  readonly actor: string;
  readonly type: string;
  readonly payload: string;
  readonly text: string;
}

const SHAPE = { members: { seq: "value", actor: "value", type: "value", payload: "raw" } } as const;

/** The server bounds nesting; this only keeps the stack safe. */
const DEPTH_MAX = 512;

/** @throws CommandFailure when this is no event. */
export function readEvent(text: string): ReceivedEvent {
  let event: Partial<{ seq: unknown; actor: unknown; type: unknown; payload: RawJson }>;
  try {
    event = parseJson(text, SHAPE, { depthMax: DEPTH_MAX }) as typeof event;
  } catch (error) {
    throw new CommandFailure(`not an event: ${messageOf(error)}: ${text.slice(0, 200)}`);
  }
  const { seq, actor, type, payload } = event;
  if (typeof seq !== "number" || typeof actor !== "string" || typeof type !== "string" || !payload) {
    throw new CommandFailure(`not an event: ${text.slice(0, 200)}`);
  }
  return { seq, actor, type, payload: payload.text, text };
}
