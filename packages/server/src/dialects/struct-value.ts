import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { DaybookError, LIMITS } from "@daybook/protocol";
import { invalidState } from "../service/state-names.js";

/**
 * `google.protobuf.Struct` in binary, to JSON text and back:
 *
 *     Struct    { 1: repeated entry { 1: string key, 2: Value } }
 *     Value     { 1: null (enum) | 2: number (double) | 3: string | 4: bool | 5: Struct | 6: ListValue }
 *     ListValue { 1: repeated Value }
 *
 * By hand, because on the way through JavaScript objects a member named `__proto__` is lost, NaN becomes null, and how
 * deep a value may nest is not ours to say.
 */
const KIND = { null: 1, number: 2, string: 3, bool: 4, struct: 5, list: 6 } as const;

/** The JSON text of a Struct. @throws DaybookError invalid_state */
export function decodeStruct(bytes: Uint8Array): string {
  try {
    return decodeObject(new BinaryReader(bytes), 1);
  } catch (error) {
    // The reader has no error of its own for bytes that are no message.
    throw error instanceof DaybookError ? error : invalidState("value is no Struct");
  }
}

/** The Struct of a JSON object's text. Numbers become doubles. */
export function encodeStruct(text: string): Uint8Array {
  const writer = new BinaryWriter();
  encodeObject(writer, JSON.parse(text) as Readonly<Record<string, unknown>>);
  return writer.finish();
}

/** Refuses what a Struct in binary is refused for, in a value that was parsed. @throws DaybookError invalid_state */
export function checkObject(value: unknown, depth = 1): unknown {
  if (typeof value === "number") checkFinite(value);
  if (typeof value !== "object" || value === null) return value;
  checkDepth(depth);
  for (const inner of Object.values(value)) checkObject(inner, depth + 1);
  return value;
}

function decodeObject(reader: BinaryReader, depth: number): string {
  // A Map: of several members of one name the last one counts, whatever the name is.
  const members = new Map<string, string>();
  for (const entry of messages(reader, depth)) {
    const [name, value] = decodeEntry(entry, depth);
    members.set(name, value);
  }
  return `{${Array.from(members, ([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

function decodeEntry(reader: BinaryReader, depth: number): [name: string, value: string] {
  let name = "";
  let value: string | undefined;
  for (const [field, type] of fields(reader)) {
    if (field === 1 && type === WireType.LengthDelimited) name = reader.string(true);
    else if (field === 2 && type === WireType.LengthDelimited)
      value = decodeValue(new BinaryReader(reader.bytes()), depth);
    else reader.skip(type, field);
  }
  if (value === undefined) throw invalidState(`value has a member ${JSON.stringify(name)} without a value`);
  return [name, value];
}

function decodeList(reader: BinaryReader, depth: number): string {
  const items: string[] = [];
  for (const item of messages(reader, depth)) items.push(decodeValue(item, depth));
  return `[${items.join(",")}]`;
}

function decodeValue(reader: BinaryReader, depth: number): string {
  let text: string | undefined;
  for (const [field, type] of fields(reader)) {
    if (field === KIND.null && type === WireType.Varint) {
      reader.int32();
      text = "null";
    } else if (field === KIND.number && type === WireType.Bit64) text = numberText(reader.double());
    else if (field === KIND.string && type === WireType.LengthDelimited)
      text = JSON.stringify(reader.string(true));
    else if (field === KIND.bool && type === WireType.Varint) text = String(reader.bool());
    else if (field === KIND.struct && type === WireType.LengthDelimited)
      text = decodeObject(new BinaryReader(reader.bytes()), depth + 1);
    else if (field === KIND.list && type === WireType.LengthDelimited)
      text = decodeList(new BinaryReader(reader.bytes()), depth + 1);
    else reader.skip(type, field);
  }
  if (text === undefined) throw invalidState("value holds a Value of no kind");
  return text;
}

function numberText(number: number): string {
  checkFinite(number);
  return Object.is(number, -0) ? "-0" : String(number);
}

function checkFinite(number: number): void {
  if (!Number.isFinite(number)) throw invalidState("value holds NaN or an infinity");
}

function checkDepth(depth: number): void {
  if (depth > LIMITS.jsonDepthMax) throw invalidState(`value nests over ${LIMITS.jsonDepthMax} levels`);
}

/** The messages of a repeated field 1. */
function* messages(reader: BinaryReader, depth: number): Generator<BinaryReader> {
  checkDepth(depth);
  for (const [field, type] of fields(reader)) {
    if (field === 1 && type === WireType.LengthDelimited) yield new BinaryReader(reader.bytes());
    else reader.skip(type, field);
  }
}

function* fields(reader: BinaryReader): Generator<[field: number, type: WireType]> {
  while (reader.pos < reader.len) yield reader.tag();
}

function encodeObject(writer: BinaryWriter, object: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(object)) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(name);
    writer.tag(2, WireType.LengthDelimited).fork();
    encodeValue(writer, value);
    writer.join().join();
  }
}

function encodeValue(writer: BinaryWriter, value: unknown): void {
  if (value === null) writer.tag(KIND.null, WireType.Varint).int32(0);
  else if (typeof value === "number") writer.tag(KIND.number, WireType.Bit64).double(value);
  else if (typeof value === "string") writer.tag(KIND.string, WireType.LengthDelimited).string(value);
  else if (typeof value === "boolean") writer.tag(KIND.bool, WireType.Varint).bool(value);
  else if (Array.isArray(value)) {
    writer.tag(KIND.list, WireType.LengthDelimited).fork();
    for (const item of value as unknown[]) {
      writer.tag(1, WireType.LengthDelimited).fork();
      encodeValue(writer, item);
      writer.join();
    }
    writer.join();
  } else {
    writer.tag(KIND.struct, WireType.LengthDelimited).fork();
    encodeObject(writer, value as Readonly<Record<string, unknown>>);
    writer.join();
  }
}
