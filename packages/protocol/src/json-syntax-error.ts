import { jsonPathAt } from "./json-path-at.js";

/** Why a JSON text was refused: it is no JSON, names one member twice, or nests deeper than allowed. */
export type JsonSyntaxReason = "syntax" | "duplicate_member" | "too_deep";

/** What was wrong, where, and in which text; `member` is the name that an object gave twice. */
export interface JsonFault {
  readonly reason: JsonSyntaxReason;
  readonly problem: string;
  readonly offset: number;
  readonly member?: string;
}

/**
 * A JSON text that is refused. `offset` counts UTF-16 code units from the start of the text; `path` names the
 * place as `events[3].payload`, and is empty for the text as a whole.
 */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";
  readonly reason: JsonSyntaxReason;
  readonly offset: number;
  readonly path: string;

  constructor(text: string, fault: JsonFault) {
    const path = jsonPathAt(text, fault.offset, fault.member);
    super(`${fault.problem} at offset ${fault.offset}${path === "" ? "" : ` in ${path}`}`);
    this.reason = fault.reason;
    this.offset = fault.offset;
    this.path = path;
  }
}
