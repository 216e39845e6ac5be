import { decodeEvent, decodeMessage, type Message, MESSAGE_TYPE } from "@daybook/core";
import type { StoredEvent } from "@daybook/engine";

/** A stored message: what its event says, and where it stands. */
export interface StoredMessage extends Message {
  readonly seq: number;
  readonly insertedAt: string;
}

const TYPE = Buffer.from(`,"type":"${MESSAGE_TYPE}","actor":`);
/** The server's members in front of the type are shorter than this. */
const START_BYTES = 160;

/** The message an event is; undefined for all others, most of which are told apart without being parsed. */
export function messageOf({ seq, bytes }: StoredEvent): StoredMessage | undefined {
  // Only the server's own members stand before the type: what a client sent cannot look like it.
  if (bytes.subarray(0, START_BYTES).indexOf(TYPE) < 0) return undefined;
  const { inserted_at: insertedAt, payload } = decodeEvent(bytes.toString("utf8"));
  const message = decodeMessage(payload.text);
  return message === undefined ? undefined : { ...message, seq, insertedAt };
}

/** A message as REST shows it. */
export function messageJson(message: StoredMessage): string {
  const { seq, role, parts, tokenCount, metadata, insertedAt } = message;
  return (
    `{"seq":${seq},"role":${JSON.stringify(role)},"parts":${parts},"token_count":${tokenCount}` +
    `,"metadata":${metadata},"inserted_at":"${insertedAt}"}`
  );
}
