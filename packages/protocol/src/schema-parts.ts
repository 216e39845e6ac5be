import { Type } from "typebox";
import { LIMITS } from "./limits.js";
import type { RawJson } from "./parse-json.js";

/** Kept as the exact text that came in, because key order and big numbers must survive. */
export const JsonObject = (description: string) =>
  Type.Refine(
    Type.Unsafe<RawJson>({ type: "object", additionalProperties: true, description }),
    // The text of any kind of value is an object to JavaScript.
    ({ kind }) => kind === "object",
    () => "must be a JSON object",
  );

export const Count = (minimum: number, description: string) =>
  Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER, description });

export const Name = (description: string) =>
  Type.String({ minLength: 1, maxLength: LIMITS.idCharactersMax, description });
