import { countTokens, encodeMessage, MESSAGE_TYPE, type NewEvent } from "@daybook/core";
import { actorOf, DaybookError, type JsonShape, type RawJson, whyNotAName } from "@daybook/protocol";
import { AppendMessage, PutConversation } from "@daybook/protocol/schemas";
import type { Caller } from "./caller.js";
import { ownName } from "./own-name.js";
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
    producer_id: "value",
    producer_seq: "value",
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

/**
 * Reads a message to append.
 * @param idempotencyKey what stands in the header `Idempotency-Key`
 * @throws DaybookError invalid_message, invalid_metadata, event_too_large
 */
export function readAppendMessage(
  body: Buffer | undefined,
  { principal }: Caller,
  { eventBytesMax, idempotencyKey }: { eventBytesMax: number; idempotencyKey: string | undefined },
): AppendMessageCommand {
  if (body !== undefined && body.length > eventBytesMax) {
    throw new DaybookError(
      "event_too_large",
      `The message is over ${eventBytesMax} bytes. Keep large content elsewhere and refer to it.`,
    );
  }
  const { message, if_version, ...input } = readAppendBody(body);
  checkName("message.role", message.role);
  checkName("Idempotency-Key", idempotencyKey);
  const producer = readProducer(input);
  if (producer !== null && idempotencyKey !== undefined)
    throw new DaybookError("invalid_message", "Send an Idempotency-Key or a producer_id, not both.");
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
    event: {
      type: MESSAGE_TYPE,
      payload,
      actor: actorOf(principal),
      producer,
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    },
    tokenCount,
    ifVersion: if_version,
  };
}

type ProducerInput = Pick<AppendMessage, "producer_id" | "producer_seq">;

function readProducer({ producer_id: id, producer_seq: seq }: ProducerInput): NewEvent["producer"] {
  checkName("producer_id", id);
  if (id !== undefined && seq !== undefined) return { id: ownName(id), seq };
  if (id === undefined && seq === undefined) return null;
  const missing = id === undefined ? "producer_id" : "producer_seq";
  throw new DaybookError(
    "invalid_message",
    `${missing} is missing: producer_id and producer_seq go together.`,
  );
}

function checkName(what: string, name: string | undefined): void {
  const why = name === undefined ? undefined : whyNotAName(name);
  if (why !== undefined) throw new DaybookError("invalid_message", `${what} ${why}.`);
}

function partsOf(body: Buffer | undefined): string {
  const { message } = parseBody(body, PARTS_SHAPE, CODES) as { message: { parts: RawJson } };
  return message.parts.text;
}
