import { countTokens, encodeMessage, MESSAGE_TYPE, type NewEvent } from "@daybook/core";
import {
  actorOf,
  AppendMessage,
  DaybookError,
  type JsonShape,
  PutConversation,
  type RawJson,
  whyNotAName,
} from "@daybook/protocol";
import type { Caller } from "./caller.js";
import { bodyReader, parseBody } from "./read-body.js";
import { checkedMetadata } from "./read-session.js";

const CODES = { code: "invalid_message", byMember: { metadata: "invalid_metadata" } } as const;
const APPEND_SHAPE: JsonShape = {
  members: {
    message: {
      members: {
        role: "value",
        parts: { items: { members: { type: "value" } } },
        token_count: "value",
        metadata: "raw",
      },
    },
    if_version: "value",
  },
};
/** The parts once more, as they came: checking opened them. */
const PARTS_SHAPE: JsonShape = { members: { message: { members: { parts: "raw" } } } };
const PUT_SHAPE: JsonShape = { members: { metadata: "raw" } };

const readAppendBody = bodyReader(AppendMessage, APPEND_SHAPE, CODES);
const readPutBody = bodyReader(PutConversation, PUT_SHAPE, { ...CODES, code: "invalid_metadata" });

/** A message to append, as the event that it becomes. */
export interface AppendMessageCommand {
  readonly event: NewEvent;
  readonly tokenCount: number;
  readonly ifVersion: number | undefined;
}

/** Reads the body of `PUT /v1/conversations/:id`. @throws DaybookError invalid_metadata */
export function readPut(body: Buffer | undefined): string {
  const { metadata } = readPutBody(body);
  return metadata === undefined ? "{}" : checkedMetadata(metadata);
}

/** Reads a message to append. @throws DaybookError invalid_message, invalid_metadata, event_too_large */
export function readAppendMessage(
  body: Buffer | undefined,
  { principal }: Caller,
  { eventBytesMax }: { readonly eventBytesMax: number },
): AppendMessageCommand {
  if (body !== undefined && body.length > eventBytesMax) {
    throw new DaybookError(
      "event_too_large",
      `The message is over ${eventBytesMax} bytes. Keep large content elsewhere and refer to it.`,
    );
  }
  const { message, if_version } = readAppendBody(body);
  const why = whyNotAName(message.role);
  if (why !== undefined) throw new DaybookError("invalid_message", `message.role ${why}.`);
  const parts = partsOf(body);
  const tokenCount = countTokens(parts, message.token_count);
  if (tokenCount === undefined) throw new Error("broken invariant: parts that were checked make no message");
  const payload = encodeMessage({
    role: message.role,
    parts,
    metadata: message.metadata?.text ?? "{}",
    tokenCount,
  });
  return {
    event: { type: MESSAGE_TYPE, payload, actor: actorOf(principal), producer: null },
    tokenCount,
    ifVersion: if_version,
  };
}

function partsOf(body: Buffer | undefined): string {
  const { message } = parseBody(body, PARTS_SHAPE, CODES) as { message: { parts: RawJson } };
  return message.parts.text;
}
