import { ERRORS, type ErrorFacts } from "@daybook/protocol/errors";

const DELAY_MIN_MS = 250;
const DELAY_MAX_MS = 5_000;

/**
 * How long to wait after so many failures in a row: doubling, and each time a random part of it less, so that clients
 * cut off together do not come back together.
 */
export function retryDelayMs(failures: number, random: number): number {
  const full = Math.min(DELAY_MAX_MS, DELAY_MIN_MS * 2 ** Math.min(failures - 1, 10));
  return full * (0.5 + random / 2);
}

/** `Retry-After` in milliseconds; 0 when there is none that says seconds. */
export function retryAfterMs(header: string | undefined): number {
  if (header === undefined || !/^\d{1,9}$/.test(header)) return 0;
  return Math.min(30_000, Number(header) * 1000);
}

/**
 * Whether an answer may be another one next time.
 *
 * @param repeatable whether doing it twice is the same as doing it once. What is not is only sent again when the
 *   first time surely did nothing.
 */
export function isWorthAnotherTry(status: number, code: string, repeatable: boolean): boolean {
  if (status === 429) return true;
  if (status < 500 && status !== 408 && status !== 425) return false;
  return repeatable || effectOf(code) === "none";
}

function effectOf(code: string): ErrorFacts["effect"] {
  const facts: ErrorFacts | undefined = (ERRORS as Record<string, ErrorFacts>)[code];
  return facts?.effect ?? "unknown";
}
