import { MESSAGE_TYPE } from "@daybook/core";

const TYPE = `,"type":"${MESSAGE_TYPE}","actor":`;
const TYPE_BYTES = Buffer.from(TYPE);
/** The server's own members in front of the type are shorter than this. */
const START_BYTES = 160;

/**
 * Has this stored event the type of messages? Without parsing it: only the server's own members stand before the type, so
 * nothing that a client sent can look like it.
 */
export function hasMessageType(json: Buffer): boolean {
  return json.subarray(0, START_BYTES).indexOf(TYPE_BYTES) >= 0;
}

/** The same, told from the first bytes of its JSON, read as Latin-1. */
export function startsAsMessage(latin1: string): boolean {
  const at = latin1.indexOf(TYPE);
  return at >= 0 && at + TYPE.length <= START_BYTES;
}
