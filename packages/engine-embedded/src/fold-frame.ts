import { decodeEvent, decodeHeaderEntry, readStateChange } from "@daybook/core";
import type { FoldedEvent, FoldedFrame, LifecycleKind } from "@daybook/views";
import { type FrameHeader, splitEvents } from "./frame-format.js";

/** A frame read from disk, as the views fold it. */
export function foldedFrame(header: FrameHeader, payload: Buffer): FoldedFrame {
  if (header.kind !== "events") {
    const kind = header.kind === "unarchive" ? "archive" : header.kind;
    return { kind: "header", entry: decodeHeaderEntry(kind, payload.toString("utf8")) };
  }
  const events = splitEvents(payload, header.count).map((bytes) =>
    foldedEvent(header, bytes.toString("utf8")),
  );
  return { kind: "events", seq: header.seq, events };
}

function foldedEvent(header: FrameHeader, json: string): FoldedEvent {
  const producer = header.unnumbered ? null : producerOf(json);
  if (!header.hasState) return { producer, state: [] };
  const { state } = decodeEvent(json);
  return { producer, state: state === undefined ? [] : readStateChange(state).operations };
}

const PRODUCER_ID = ',"producer_id":"';
const PRODUCER_SEQ = '","producer_seq":';

/**
 * The producer of a stored event, without parsing the event. Sound because the server wrote these members itself,
 * before anything of the client's but the type and the actor, and a quote inside those is escaped: `,"` is no part
 * of a string.
 */
function producerOf(json: string): { id: string; seq: number } {
  const start = json.indexOf(PRODUCER_ID) + PRODUCER_ID.length;
  const end = json.indexOf(PRODUCER_SEQ, start);
  const id = json.slice(start, end);
  return {
    id: id.includes("\\") ? (JSON.parse(`"${id}"`) as string) : id,
    seq: Number.parseInt(json.slice(end + PRODUCER_SEQ.length, end + PRODUCER_SEQ.length + 17), 10),
  };
}

const LIFECYCLE: Readonly<Record<FrameHeader["kind"], LifecycleKind | undefined>> = {
  events: undefined,
  create: "created",
  patch: "updated",
  archive: "archived",
  unarchive: "unarchived",
  close: "closed",
  erase: "deleted",
};

/** What a frame did to its session as a whole, as far as its header tells. */
export const lifecycleKindOfFrame = ({ kind }: FrameHeader): LifecycleKind | undefined => LIFECYCLE[kind];
