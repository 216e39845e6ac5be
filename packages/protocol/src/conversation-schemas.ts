import { type Static, Type } from "typebox";
import { Count, JsonObject, Name } from "./schema-parts.js";

/** A conversation is a session read as messages; this is how its own API shows it. */

const Part = Type.Object(
  { type: Type.String({ description: "What kind of part this is, e.g. `text`." }) },
  {
    additionalProperties: true,
    description: "A part may hold anything; a string `text` is what tokens are estimated from.",
  },
);

export const MessageInput = Type.Object({
  role: Name("Who speaks, e.g. `user` or `assistant`."),
  parts: Type.Array(Part, { minItems: 1, description: "What is said, returned with its exact text." }),
  token_count: Type.Optional(
    Type.Unknown({
      description:
        "How many tokens the message has: an integer ≥ 0. Anything else, and nothing, is estimated: of every part's " +
        "`text` a quarter of its bytes.",
    }),
  ),
  metadata: Type.Optional(JsonObject("Anything to keep beside the parts.")),
});

export const AppendMessage = Type.Object({
  message: MessageInput,
  if_version: Type.Optional(
    Count(0, "The conversation's version as the caller knows it; anything else refuses."),
  ),
  producer_id: Type.Optional(
    Name(
      "With `producer_seq` it makes retries safe, as for events. Without, the server numbers the message.",
    ),
  ),
  producer_seq: Type.Optional(
    Count(1, "The producer's own number of this message: any first number, then each time one more."),
  ),
});
export type AppendMessage = Static<typeof AppendMessage>;

export const AppendMessageResult = Type.Object({
  seq: Type.Integer({ minimum: 1 }),
  version: Type.Integer({ minimum: 1, description: "The conversation's last seq." }),
  token_count: Type.Integer({ minimum: 0, description: "As sent, or estimated." }),
});

export const PutConversation = Type.Object({
  metadata: Type.Optional(JsonObject("Takes the place of what was there; `{}` if left out.")),
});
export type PutConversation = Static<typeof PutConversation>;

export const ConversationRecord = Type.Object({
  id: Type.String(),
  version: Type.Integer({ minimum: 0, description: "The last seq: what `if_version` is compared with." }),
  tombstoned: Type.Boolean({ description: "Takes no more messages; reads go on." }),
  last_seq: Type.Integer({ minimum: 0 }),
  archived_seq: Type.Integer({
    minimum: 0,
    description: "Events up to this seq are in a cold store; 0 when none are.",
  }),
  metadata: JsonObject("As given."),
  created_at: Type.String({ format: "date-time" }),
  updated_at: Type.String({ format: "date-time", description: "When the record last changed." }),
});

export const Message = Type.Object({
  seq: Type.Integer({ minimum: 1 }),
  role: Type.String(),
  parts: Type.Array(Part),
  token_count: Type.Integer({ minimum: 0 }),
  metadata: JsonObject("`{}` if none was sent."),
  inserted_at: Type.String({ format: "date-time" }),
});

export const MessagePage = Type.Object({ messages: Type.Array(Message) });
