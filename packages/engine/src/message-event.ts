import { MESSAGE_TYPE } from "@daybook/core";

const TYPE = Buffer.from(`,"type":"${MESSAGE_TYPE}","actor":`);
/** The server's own members in front of the type are shorter than this. */
const START_BYTES = 160;

/**
 * Has this stored event the type of messages? Without parsing it: only the server's own members stand before the type, so
 * nothing that a client sent can look like it.
 */
export function hasMessageType(json: Buffer): boolean {
  return json.subarray(0, START_BYTES).indexOf(TYPE) >= 0;
}
