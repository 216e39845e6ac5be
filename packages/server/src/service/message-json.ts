import { decodeEvent, decodeMessage, type Message } from "@daybook/core";
import { hasMessageType, type StoredEvent } from "@daybook/engine";

/** A stored message: what its event says, and where it stands. */
export interface StoredMessage extends Message {
  readonly seq: number;
  readonly insertedAt: string;
}

/** The message an event is; undefined for all others, most of which are told apart without being parsed. */
export function messageOf({ seq, bytes }: StoredEvent): StoredMessage | undefined {
  if (!hasMessageType(bytes)) return undefined;
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
