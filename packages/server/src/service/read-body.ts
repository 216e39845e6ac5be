import { isUtf8 } from "node:buffer";
import {
  DaybookError,
  type ErrorCode,
  type JsonShape,
  JsonSyntaxError,
  LIMITS,
  parseJson,
} from "@daybook/protocol";
import type { Static, TSchema } from "typebox";
// Not `typebox/compile`: what its validators can do beyond this would only make a start longer.
import { Compile } from "typebox/schema";
import { firstFault } from "./first-fault.js";

/** Which error a fault of the body is: by the top-level member it lies in, else the route's own. */
export interface BodyCodes {
  readonly code: ErrorCode;
  readonly byMember?: Readonly<Record<string, ErrorCode>>;
  /** The member that holds the whole of what is read, if it is a part of the body. */
  readonly within?: string;
}

/**
 * A reader of one kind of body: strict JSON, then the schema. Nothing is coerced; what the schema does not name is
 * ignored; the first thing that is wrong is said with its place.
 */
export function bodyReader<Schema extends TSchema>(
  schema: Schema,
  shape: JsonShape,
  codes: BodyCodes,
  depthMax: number = LIMITS.jsonDepthMax,
): (body: Buffer | undefined) => Static<Schema> {
  const check = checker(schema, codes);
  return (body) => check(parseBody(body, shape, codes, depthMax));
}

/** Checks a parsed value against a schema. */
export function checker<Schema extends TSchema>(
  schema: Schema,
  codes: BodyCodes,
): (value: unknown) => Static<Schema> {
  const compiled = Compile(schema);
  return (value) => {
    if (compiled.Check(value)) return value;
    const { place: inner, why } = firstFault(compiled.Errors(value)[1]);
    const place = codes.within === undefined ? inner : `${codes.within}${inner === "" ? "" : "."}${inner}`;
    throw refusalAt(place, codeAt(place, codes), `${place === "" ? "The body" : place} ${why}.`);
  };
}

/** Strict JSON of a body, with the members that the shape names kept as they came. */
export function parseBody(
  body: Buffer | undefined,
  shape: JsonShape,
  codes: BodyCodes,
  depthMax: number = LIMITS.jsonDepthMax,
): unknown {
  const text = textOf(body, codes.code);
  try {
    return parseJson(text, shape, { depthMax });
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const code = error.reason === "syntax" ? codes.code : codeAt(error.path, codes);
    throw refusalAt(error.path, code, `The body is not valid JSON: ${error.message}.`);
  }
}

/** `events[3].metadata.a` and `message.metadata.a` lie in the member `metadata`. */
function codeAt(place: string, { code, byMember }: BodyCodes): ErrorCode {
  const member = /^(?:events\[\d+\]\.?|message\.)?([^.[]*)/.exec(place)?.[1] ?? "";
  return byMember?.[member] ?? code;
}

/** What is wrong in a list of events says in which one. */
function refusalAt(place: string, code: ErrorCode, message: string): DaybookError {
  const index = /^events\[(\d+)\]/.exec(place)?.[1];
  return new DaybookError(code, message, index === undefined ? {} : { details: { index: Number(index) } });
}

/** UTF-8 text of a body. An absent one reads as `{}`: several calls have nothing to say. */
function textOf(body: Buffer | undefined, code: ErrorCode): string {
  if (body === undefined || body.length === 0) return "{}";
  if (!isUtf8(body)) throw new DaybookError(code, "The body is not valid UTF-8.");
  return body.toString("utf8");
}
