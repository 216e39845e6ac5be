import { type Append, byteLength, type NewEvent, readStateChange } from "@daybook/core";
import { actorOf, DaybookError, type ErrorDetails, type JsonShape, whyNotAName } from "@daybook/protocol";
import { AppendMany, AppendOne, type EventInput, Refs } from "@daybook/protocol/schemas";
import type { Caller } from "./caller.js";
import { ownName } from "./own-name.js";
import { bodyReader, checker, parseBody } from "./read-body.js";

export interface AppendLimits {
  readonly eventBytesMax: number;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
}

const EVENT_MEMBERS = {
  type: "value",
  payload: "raw",
  producer_id: "value",
  producer_seq: "value",
  actor: "value",
  source: "value",
  metadata: "raw",
  refs: "raw",
  idempotency_key: "value",
  state: "raw",
  expected_seq: "value",
} as const satisfies Record<string, JsonShape>;

const CODES = {
  code: "invalid_event",
  byMember: { metadata: "invalid_metadata", refs: "invalid_refs" },
} as const;
/** One event, or a list of them: which it is shows once it is parsed. */
const APPEND_SHAPE: JsonShape = {
  members: { ...EVENT_MEMBERS, events: { items: { members: EVENT_MEMBERS } } },
};
const REFS_SHAPE: JsonShape = {
  members: { to_seq: "value", step: "value", request_id: "value", sequence_id: "value" },
};

const checkOne = checker(AppendOne, CODES);
const checkMany = checker(AppendMany, CODES);
const readRefs = bodyReader(Refs, REFS_SHAPE, { code: "invalid_refs", within: "refs" });

/** Reads the body of an append: one event, or `{events: […]}`. */
export function readAppend(body: Buffer | undefined, caller: Caller, limits: AppendLimits): Append {
  if (body !== undefined && body.length > limits.batchBytesMax)
    throw tooLarge(limits.batchBytesMax, "The body");
  const value = parseBody(body, APPEND_SHAPE, CODES);
  if (typeof value === "object" && value !== null && "events" in value)
    return readList(value, caller, limits, body?.length ?? 0);
  if (body !== undefined && body.length > limits.eventBytesMax)
    throw tooLarge(limits.eventBytesMax, "The event");
  return readSingle(value, caller);
}

function readSingle(value: unknown, caller: Caller): Append {
  const input = checkOne(value);
  const append: Append = { events: [newEvent(input, caller)], batch: false };
  return input.expected_seq === undefined ? append : { ...append, expectedSeq: input.expected_seq };
}

function readList(value: object, caller: Caller, limits: AppendLimits, bodyBytes: number): Append {
  const input = checkMany(value);
  if (input.events.length > limits.batchEventsMax) {
    throw new DaybookError(
      "invalid_event",
      `events holds ${input.events.length}, at most ${limits.batchEventsMax} go in one append.`,
    );
  }
  const events = input.events.map((event, index) => {
    try {
      if ("expected_seq" in event) throw invalid("expected_seq belongs beside events, not inside one");
      // No event is longer than the body it came in: most lists need no counting.
      if (bodyBytes > limits.eventBytesMax && textBytes(event) > limits.eventBytesMax)
        throw tooLarge(limits.eventBytesMax, "The event");
      return newEvent(event, caller);
    } catch (error) {
      throw atIndex(error, index);
    }
  });
  const append: Append = { events, batch: true };
  return input.expected_seq === undefined ? append : { ...append, expectedSeq: input.expected_seq };
}

function newEvent(input: EventInput, caller: Caller): NewEvent {
  checkMembers(input);
  return {
    type: input.type,
    payload: input.payload.text,
    actor: actorFor(input.actor, caller),
    producer: { id: ownName(input.producer_id), seq: input.producer_seq },
    ...(input.source !== undefined && { source: input.source }),
    ...(input.metadata !== undefined && { metadata: input.metadata.text }),
    ...(input.refs !== undefined && { refs: input.refs.text }),
    ...(typeof input.idempotency_key === "string" && { idempotencyKey: input.idempotency_key }),
    ...(input.state !== undefined && { state: readStateChange(input.state) }),
  };
}

/** What the schema cannot say of an event's members. @throws DaybookError invalid_event, invalid_refs */
export function checkMembers(
  event: Pick<EventInput, "type" | "producer_id" | "actor" | "source" | "idempotency_key" | "refs">,
): void {
  for (const member of ["type", "producer_id", "actor", "source"] as const) {
    const name = event[member];
    const why = name === undefined ? undefined : whyNotAName(name);
    if (why !== undefined) throw invalid(`${member} ${why}`);
  }
  if (event.refs !== undefined) readRefs(Buffer.from(event.refs.text));
}

/** With auth on the token says who acts; an event that says otherwise is refused. */
function actorFor(given: string | undefined, { principal, anyActor }: Caller): string {
  const own = actorOf(principal);
  if (given === undefined) return own;
  if (!anyActor && given !== own)
    throw invalid(`actor is ${JSON.stringify(given)}, this token speaks for ${JSON.stringify(own)}`);
  return given;
}

function textBytes(event: EventInput): number {
  let bytes = 0;
  for (const part of [event.payload, event.metadata, event.refs, event.state]) {
    if (part !== undefined) bytes += byteLength(part.text);
  }
  return bytes;
}

function invalid(reason: string): DaybookError {
  return new DaybookError("invalid_event", `${reason}.`);
}

function tooLarge(limit: number, what: string): DaybookError {
  return new DaybookError(
    "event_too_large",
    `${what} is over ${limit} bytes. Keep large content elsewhere and refer to it.`,
  );
}

/** A refusal that says which event of a list it is about. */
export function atIndex(error: unknown, index: number): unknown {
  if (!(error instanceof DaybookError)) return error;
  const details: ErrorDetails = { ...error.details, index };
  return new DaybookError(error.code, `events[${index}]: ${error.message}`, { details });
}
