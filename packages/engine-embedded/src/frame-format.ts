import { crc32 } from "node:zlib";
import type { HeaderEntry } from "@daybook/core";

/**
 * The bytes of a segment file. Little endian; every header carries a checksum of itself.
 *
 *     segment   header(64)  batch  batch  batch …
 *     batch     header(32)  frame  frame …            written and synced as one: all of it counts or none
 *     frame     header(40)  payload
 *
 *     segment header   magic 8 · crc 4 · version 4 · segment 4 · hollow 4 · first batch 6 · 0 2 · previous length 6 · 0 2 · store id 16 · 0 8
 *     batch header     magic 8 · crc 4 · segment 4 · batch 6 · 0 2 · body bytes 4 · frames 4
 *     frame header     crc 4 · payload bytes 4 · payload crc 4 · kind 1 · flags 1 · count 2 · log 6 · seq 6 · time 8 · moved from 4
 *
 * A batch's magic begins with bytes that no JSON text can hold, so nothing that a client sends looks like a batch.
 * No text of tenants, sessions or producers stands in a header: payloads can be zeroed, headers stay.
 */
export const FORMAT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 64;
export const BATCH_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 40;

const SEGMENT_MAGIC = Buffer.from("\x00DAYBK\x1a\n", "latin1");
export const BATCH_MAGIC = Buffer.from("\x00\x01BATCH\x02", "latin1");

/** Between the events of one frame: a byte that no JSON text can hold. */
export const EVENT_SEPARATOR = 0x1e;

const KINDS = [
  "events",
  "create",
  "patch",
  "archive",
  "unarchive",
  "close",
  "erase",
  "reopen",
  "fork",
  "unfork",
] as const;
/** Archiving and its opposite differ here, where it can be told when the payload is erased. */
export type FrameKind = "events" | "unarchive" | HeaderEntry["kind"];

export interface SegmentHeader {
  readonly segment: number;
  readonly firstBatch: number;
  /** How long the segment before was when it was sealed; 0 for the first. */
  readonly previousLength: number;
  /** 32 hex digits: which store this file belongs to. */
  readonly storeId: string;
  /** Everything in it was erased: only erase entries are left, and batch numbers have gaps. */
  readonly hollow: boolean;
}

export interface BatchHeader {
  readonly segment: number;
  readonly batch: number;
  readonly bodyBytes: number;
  readonly frames: number;
}

export interface FrameHeader {
  readonly kind: FrameKind;
  /** Some event carries state operations: recovery has to read it whole. */
  readonly hasState: boolean;
  /** The server numbered these events: they keep no producer window. */
  readonly unnumbered: boolean;
  /** Events in the payload; 0 for a header change. */
  readonly count: number;
  readonly log: number;
  /** The first event's seq; for a header change the seq it stands after. */
  readonly seq: number;
  readonly atMs: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
  /** In a hollow segment: where the frame stood before; 0 elsewhere. Places in feeds name it. */
  readonly movedFrom: number;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  SEGMENT_MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(FORMAT_VERSION, 12);
  bytes.writeUInt32LE(header.segment, 16);
  bytes.writeUInt32LE(header.hollow ? 1 : 0, 20);
  bytes.writeUIntLE(header.firstBatch, 24, 6);
  bytes.writeUIntLE(header.previousLength, 32, 6);
  bytes.write(header.storeId, 40, "hex");
  bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
  return bytes;
}

/** The header, or why these bytes are none. `unknown_version`: whole, but written by another format. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | "bad" | "unknown_version" {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(SEGMENT_MAGIC)) return "bad";
  if (crc32(bytes.subarray(12, SEGMENT_HEADER_BYTES)) !== bytes.readUInt32LE(8)) return "bad";
  if (bytes.readUInt32LE(12) !== FORMAT_VERSION) return "unknown_version";
  return {
    segment: bytes.readUInt32LE(16),
    hollow: bytes.readUInt32LE(20) === 1,
    firstBatch: bytes.readUIntLE(24, 6),
    previousLength: bytes.readUIntLE(32, 6),
    storeId: bytes.toString("hex", 40, 56),
  };
}

export function writeBatchHeader(into: Buffer, header: BatchHeader): void {
  BATCH_MAGIC.copy(into, 0);
  into.writeUInt32LE(header.segment, 12);
  into.writeUIntLE(header.batch, 16, 6);
  into.writeUInt16LE(0, 22);
  into.writeUInt32LE(header.bodyBytes, 24);
  into.writeUInt32LE(header.frames, 28);
  into.writeUInt32LE(crc32(into.subarray(12, BATCH_HEADER_BYTES)), 8);
}

export function decodeBatchHeader(bytes: Buffer, at: number): BatchHeader | undefined {
  if (bytes.length - at < BATCH_HEADER_BYTES) return undefined;
  if (BATCH_MAGIC.compare(bytes, at, at + 8) !== 0) return undefined;
  if (crc32(bytes.subarray(at + 12, at + BATCH_HEADER_BYTES)) !== bytes.readUInt32LE(at + 8))
    return undefined;
  return {
    segment: bytes.readUInt32LE(at + 12),
    batch: bytes.readUIntLE(at + 16, 6),
    bodyBytes: bytes.readUInt32LE(at + 24),
    frames: bytes.readUInt32LE(at + 28),
  };
}

export function writeFrameHeader(into: Buffer, at: number, header: FrameHeader): void {
  into.writeUInt32LE(header.payloadBytes, at + 4);
  into.writeUInt32LE(header.payloadCrc, at + 8);
  into[at + 12] = KINDS.indexOf(header.kind);
  into[at + 13] = (header.hasState ? 1 : 0) | (header.unnumbered ? 2 : 0);
  into.writeUInt16LE(header.count, at + 14);
  into.writeUIntLE(header.log, at + 16, 6);
  into.writeUIntLE(header.seq, at + 22, 6);
  into.writeDoubleLE(header.atMs, at + 28);
  into.writeUInt32LE(header.movedFrom, at + 36);
  into.writeUInt32LE(crc32(into.subarray(at + 4, at + FRAME_HEADER_BYTES)), at);
}

export function decodeFrameHeader(bytes: Buffer, at: number): FrameHeader | undefined {
  if (bytes.length - at < FRAME_HEADER_BYTES) return undefined;
  if (crc32(bytes.subarray(at + 4, at + FRAME_HEADER_BYTES)) !== bytes.readUInt32LE(at)) return undefined;
  const kind = KINDS[bytes[at + 12] ?? KINDS.length];
  if (kind === undefined) return undefined;
  const flags = bytes[at + 13] ?? 0;
  return {
    kind,
    hasState: (flags & 1) !== 0,
    unnumbered: (flags & 2) !== 0,
    count: bytes.readUInt16LE(at + 14),
    log: bytes.readUIntLE(at + 16, 6),
    seq: bytes.readUIntLE(at + 22, 6),
    atMs: bytes.readDoubleLE(at + 28),
    payloadBytes: bytes.readUInt32LE(at + 4),
    payloadCrc: bytes.readUInt32LE(at + 8),
    movedFrom: bytes.readUInt32LE(at + 36),
  };
}

/** What a payload is: whole, erased (all zero: legal only in an erased log), or neither. */
export function judgePayload(header: FrameHeader, payload: Buffer): "whole" | "zeroed" | "bad" {
  if (crc32(payload) === header.payloadCrc) return "whole";
  return payload.every((byte) => byte === 0) ? "zeroed" : "bad";
}

/** The events of a frame, as parts of its payload. */
export function splitEvents(payload: Buffer, count: number): Buffer[] {
  if (count === 1) return [payload];
  const events: Buffer[] = [];
  let start = 0;
  for (let index = 0; index < count - 1; index++) {
    const end = payload.indexOf(EVENT_SEPARATOR, start);
    events.push(payload.subarray(start, end));
    start = end + 1;
  }
  events.push(payload.subarray(start));
  return events;
}

export const segmentName = (segment: number): string => `${String(segment).padStart(10, "0")}.log`;

export function segmentOfName(name: string): number | undefined {
  return /^\d{10}\.log$/.test(name) ? Number(name.slice(0, 10)) : undefined;
}
