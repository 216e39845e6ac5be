import { Type, type Static } from "typebox";
import { LIMITS } from "./limits.js";
import { Count, JsonObject, Name } from "./schema-parts.js";

/** What crosses the wire, once: these schemas validate, give the static types and become the OpenAPI document. */

export const EventInput = Type.Object({
  type: Name("What kind of event this is, e.g. `chat.user.message`."),
  payload: JsonObject("The event's own data: any JSON object, returned with its exact text."),
  producer_id: Name("Who numbers these events; with `producer_seq` it makes retries safe."),
  producer_seq: Count(
    1,
    "The producer's own number of this event: any first number, then each time one more.",
  ),
  actor: Type.Optional(Name("Who acts, as `TYPE:ID`. With auth on it is the token's principal.")),
  source: Type.Optional(Name("Where the event comes from, e.g. `web`.")),
  metadata: Type.Optional(JsonObject("Anything to keep beside the payload.")),
  refs: Type.Optional(JsonObject("`to_seq`, `step` (integers ≥ 0), `request_id`, `sequence_id` (strings).")),
  idempotency_key: Type.Optional(
    Type.Union([Type.String({ maxLength: LIMITS.idCharactersMax }), Type.Null()], {
      description: "Stored and echoed; never used to find duplicates.",
    }),
  ),
  state: Type.Optional(
    JsonObject(
      "State change committed with the event: `{set: {KEY: VALUE}, delete: [KEY], if: {KEY: VERSION}}`.",
    ),
  ),
});
export type EventInput = Static<typeof EventInput>;

const ExpectedSeq = Type.Optional(
  Count(0, "The session's last seq as the caller knows it; anything else refuses."),
);

export const AppendOne = Type.Object({ ...EventInput.properties, expected_seq: ExpectedSeq });
export type AppendOne = Static<typeof AppendOne>;

export const AppendMany = Type.Object({
  events: Type.Array(EventInput, { minItems: 1, description: "Committed together or not at all." }),
  expected_seq: ExpectedSeq,
});
export type AppendMany = Static<typeof AppendMany>;

export const Refs = Type.Object({
  to_seq: Type.Optional(Count(0, "The seq this event answers.")),
  step: Type.Optional(Count(0, "A step number.")),
  request_id: Type.Optional(Type.String()),
  sequence_id: Type.Optional(Type.String()),
});

const StateWrite = Type.Object({
  namespace: Type.Optional(Type.String({ description: "Left out: `default`." })),
  agent_id: Type.String(),
  key: Type.String(),
  value: Type.Optional(JsonObject("What the record is set to; kept as its exact text.")),
  delete: Type.Optional(Type.Literal(true, { description: "Instead of a value: leaves a tombstone." })),
  if_version: Type.Optional(
    Count(0, "The version the record must have before the transaction; 0: it must not exist."),
  ),
});
export type StateWrite = Static<typeof StateWrite>;

export const StateTransaction = Type.Object({
  operations: Type.Array(StateWrite, { description: "In their order, all or none; may be empty." }),
  producer_id: Type.Optional(Name("Who numbers its transactions; makes retries safe, as for events.")),
  producer_seq: Type.Optional(Count(1, "Goes with `producer_id`: each time one more.")),
});
export type StateTransaction = Static<typeof StateTransaction>;

const Title = Type.Union([Type.String(), Type.Null()], { description: "A line for lists; null for none." });

export const CreateSession = Type.Object({
  id: Type.Optional(
    Type.String({ description: "Chosen by the caller, or left out for one starting `ses_`." }),
  ),
  title: Type.Optional(Title),
  metadata: Type.Optional(JsonObject("Top-level scalars can be filtered on.")),
});
export type CreateSession = Static<typeof CreateSession>;

export const PatchSession = Type.Object({
  title: Type.Optional(Title),
  metadata: Type.Optional(JsonObject("Merged into what is there, member by member of the top level.")),
  expected_version: Type.Optional(Count(1, "The record's version as the caller knows it.")),
});
export type PatchSession = Static<typeof PatchSession>;

export const ForkSession = Type.Object({
  ...CreateSession.properties,
  at_seq: Type.Optional(Count(0, "The last seq to share; left out: all there is.")),
});
export type ForkSession = Static<typeof ForkSession>;

export const SessionRecord = Type.Object({
  id: Type.String(),
  title: Type.Union([Type.String(), Type.Null()]),
  metadata: JsonObject("As given."),
  tenant_id: Type.String(),
  creator_principal: Type.Object({ tenant_id: Type.String(), id: Type.String(), type: Type.String() }),
  last_seq: Type.Integer(),
  archived: Type.Boolean(),
  created_at: Type.String({ format: "date-time" }),
  updated_at: Type.String({
    format: "date-time",
    description: "When the record last changed; events leave it alone.",
  }),
  version: Type.Integer({ minimum: 1, description: "Counts changes of title and metadata." }),
  forked_from: Type.Optional(
    Type.Object(
      { session_id: Type.String(), seq: Type.Integer({ minimum: 0 }) },
      { description: "For a fork: the session that it shares its events up to `seq` with." },
    ),
  ),
});

export const SessionList = Type.Object({
  sessions: Type.Array(SessionRecord),
  next_cursor: Type.Union([Type.String(), Type.Null()]),
});

export const Event = Type.Object({
  seq: Type.Integer({ minimum: 1 }),
  cursor: Type.Integer({ minimum: 1, description: "The same as `seq`: resume from here." }),
  tenant_id: Type.String(),
  inserted_at: Type.String({ format: "date-time" }),
  type: Type.String(),
  actor: Type.String(),
  producer_id: Type.String(),
  producer_seq: Type.Integer({ minimum: 1 }),
  source: Type.Optional(Type.String()),
  idempotency_key: Type.Union([Type.String(), Type.Null()]),
  metadata: JsonObject("`{}` if none was sent."),
  refs: JsonObject("`{}` if none was sent."),
  payload: JsonObject("The exact text that was sent."),
  state: Type.Optional(JsonObject("The state change committed with this event.")),
});

export type Event = Static<typeof Event>;

export const AppendResult = Type.Object({
  seq: Type.Integer({ minimum: 1 }),
  last_seq: Type.Integer({ minimum: 1 }),
  deduped: Type.Boolean({ description: "True when this very event was there already: a retry." }),
  cursor: Type.Integer({ description: "This event's seq." }),
  committed_cursor: Type.Integer({ description: "The durable frontier; includes this event." }),
});
export type AppendResult = Static<typeof AppendResult>;

export const AppendManyResult = Type.Object({
  results: Type.Array(Type.Object({ seq: Type.Integer(), deduped: Type.Boolean() })),
  last_seq: Type.Integer(),
  cursor: Type.Integer({ description: "The last of these events' seqs." }),
  committed_cursor: Type.Integer(),
});
export type AppendManyResult = Static<typeof AppendManyResult>;

export const EventPage = Type.Object({
  events: Type.Array(Event),
  next_cursor: Type.Integer({ description: "Read on from here." }),
  last_seq: Type.Integer(),
});

export const ErrorBody = Type.Object(
  { error: Type.String(), message: Type.String() },
  { additionalProperties: true },
);
