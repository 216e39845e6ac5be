import { decodeEvent, decodeHeaderEntry, foldedAs, storedOperations } from "@daybook/core";
import { startsAsMessage } from "@daybook/engine";
import type { FoldedEvent, FramePosition, LifecycleKind } from "@daybook/views";
import { type FrameHeader, splitEvents } from "./frame-format.js";
import type { LiveLog } from "./live-log.js";

/** Folds a frame read from disk into its log. */
export function foldFrame(log: LiveLog, header: FrameHeader, payload: Buffer, position: FramePosition): void {
  if (header.kind !== "events") {
    const kind = header.kind === "unarchive" ? "archive" : header.kind;
    log.foldHeader(decodeHeaderEntry(kind, payload.toString("utf8")), header.atMs, position);
    return;
  }
  const events =
    header.count === 1
      ? [foldedEvent(header, payload)]
      : splitEvents(payload, header.count).map((bytes) => foldedEvent(header, bytes));
  log.foldEvents(events, header.seq, header.atMs, position);
}

function foldedEvent(header: FrameHeader, json: Buffer): FoldedEvent {
  const start = json.toString("latin1", 0, START_BYTES);
  const producer = header.unnumbered ? null : producerOf(json, start);
  if (!header.hasState && !startsAsMessage(start))
    return { producer, state: NO_STATE, isMessage: false, idempotencyKey: undefined };
  const { type, payload, idempotency_key, state } = decodeEvent(json.toString("utf8"));
  const event = {
    type,
    payload: payload.text,
    ...(idempotency_key !== null && { idempotencyKey: idempotency_key }),
  };
  return {
    ...foldedAs(event, producer),
    state: state === undefined ? NO_STATE : storedOperations(state),
  };
}

const NO_STATE: FoldedEvent["state"] = [];
const PRODUCER_ID = ',"producer_id":"';
const PRODUCER_SEQ = '","producer_seq":';
/** The server's small members come first and nearly always end within this. */
const START_BYTES = 192;

/**
 * The producer of a stored event, without parsing the event. Sound because the server wrote these members itself,
 * before anything of the client's but the type and the actor, and a quote inside those is escaped: `,"` is no part
 * of a string.
 */
function producerOf(json: Buffer, start: string): { id: string; seq: number } {
  // A name at the end may be cut, and so may a number: only with something behind it is it whole.
  const found = producerIn(start) ?? producerIn(json.toString("latin1"));
  if (found === undefined) throw new Error("broken invariant: a numbered event without its producer");
  return found;
}

function producerIn(latin1: string): { id: string; seq: number } | undefined {
  const start = latin1.indexOf(PRODUCER_ID) + PRODUCER_ID.length;
  const end = latin1.indexOf(PRODUCER_SEQ, start);
  const after = latin1.indexOf(",", end + PRODUCER_SEQ.length);
  if (start < PRODUCER_ID.length || end < 0 || after < 0) return undefined;
  const seq = Number.parseInt(latin1.slice(end + PRODUCER_SEQ.length, after), 10);
  return { id: decodedName(latin1.slice(start, end)), seq };
}

/** A JSON string's text, from its bytes read as Latin-1: nearly always plain ASCII, which stays as it is. */
function decodedName(latin1: string): string {
  if (!UNUSUAL.test(latin1)) return latin1;
  return JSON.parse(`"${Buffer.from(latin1, "latin1").toString("utf8")}"`) as string;
}

const UNUSUAL = /[\\\x80-\xff]/;

const LIFECYCLE: Readonly<Record<FrameHeader["kind"], LifecycleKind | undefined>> = {
  events: undefined,
  create: "created",
  patch: "updated",
  archive: "archived",
  unarchive: "unarchived",
  close: "closed",
  erase: "deleted",
  reopen: "reopened",
  fork: "forked",
  unfork: undefined,
};

/** What a frame did to its session as a whole, as far as its header tells. */
export const lifecycleKindOfFrame = ({ kind }: FrameHeader): LifecycleKind | undefined => LIFECYCLE[kind];
