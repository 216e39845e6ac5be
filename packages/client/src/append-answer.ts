import { DaybookError, isObject } from "./errors.js";

/** What became of an event. */
export interface AppendResult {
  readonly seq: number;
  /** It was there already: an earlier try had reached the server. */
  readonly deduped: boolean;
}

/**
 * What the answer to an append says of each event.
 * @throws DaybookError invalid_answer when it does not: then something else has answered
 */
export function resultsOf(answer: unknown, count: number): readonly AppendResult[] {
  const results = isObject(answer) && Array.isArray(answer.results) ? (answer.results as unknown[]) : [];
  if (results.length === count && results.every(isResult)) return results;
  throw new DaybookError(
    "invalid_answer",
    "The append was answered without a seq for each event: is this a Daybook server?",
    { mayHaveHappened: true },
  );
}

function isResult(result: unknown): result is AppendResult {
  return isObject(result) && typeof result.seq === "number" && typeof result.deduped === "boolean";
}
