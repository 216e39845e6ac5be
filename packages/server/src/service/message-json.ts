import { decodeEvent, decodeMessage, type Message } from "@daybook/core";
import { hasMessageType, type StoredEvent } from "@daybook/engine";

/** A stored message: what its event says, and where it stands. */
export interface StoredMessage extends Message {
  readonly seq: number;
  readonly insertedAt: string;
}

/** Passes over most events that are no messages, without parsing them. */
export const hasTypeOfMessage = ({ bytes }: StoredEvent): boolean => hasMessageType(bytes);

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

/** What channels push of events, made once for all who follow. */
const pushes = new WeakMap<StoredEvent, Buffer>();

/** A message as channels push it; undefined for an event that is none. */
export function messagePush(event: StoredEvent): Buffer | undefined {
  const known = pushes.get(event);
  if (known !== undefined) return known;
  const message = messageOf(event);
  if (message === undefined) return undefined;
  const { seq, role, parts, tokenCount, metadata } = message;
  const push = Buffer.from(
    `{"type":"message","seq":${seq},"version":${seq},"message":{"role":${JSON.stringify(role)}` +
      `,"parts":${parts},"metadata":${metadata},"token_count":${tokenCount}}}`,
  );
  pushes.set(event, push);
  return push;
}
