import type { StoredEvent } from "@daybook/engine";

/**
 * An event as the wire shows it: the stored bytes with the tenant in front. The tenant is no part of what is stored,
 * since a log must not know who may read it.
 */
export function eventPrefix(tenant: string): Buffer {
  return Buffer.from(`{"tenant_id":${JSON.stringify(tenant)},`);
}

/** The pieces of one event, to be written one after the other: no byte of the event is copied. */
export function eventPieces(prefix: Buffer, event: StoredEvent): [Buffer, Buffer] {
  return [prefix, event.bytes.subarray(1)];
}

const OPEN = Buffer.from("[");
const CLOSE = Buffer.from("]");
const COMMA = Buffer.from(",");

/** A JSON array of events. */
export function eventArray(prefix: Buffer, events: readonly StoredEvent[]): Buffer {
  const pieces: Buffer[] = [OPEN];
  for (const [index, event] of events.entries()) {
    if (index > 0) pieces.push(COMMA);
    pieces.push(...eventPieces(prefix, event));
  }
  pieces.push(CLOSE);
  return Buffer.concat(pieces);
}

const ACTOR = Buffer.from(',"actor":');

/**
 * A test for events of one actor that does not parse them. The server wrote `actor` before anything of the client's
 * but the type, and a quote inside that is escaped: the first `,"actor":` is the member.
 */
export function actorTest(actor: string): (event: StoredEvent) => boolean {
  const wanted = Buffer.from(`${JSON.stringify(actor)},"producer_id":`);
  return ({ bytes }) => {
    const at = bytes.indexOf(ACTOR) + ACTOR.length;
    return wanted.compare(bytes, at, at + wanted.length) === 0;
  };
}
