const DELAY_MIN_MS = 250;
const DELAY_MAX_MS = 10_000;

/**
 * How long to wait after so many failures in a row: doubling, and each time a random part of it less, so that clients
 * cut off together do not come back together.
 */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(DELAY_MAX_MS, DELAY_MIN_MS * 2 ** Math.min(failures - 1, 10));
  return full * (0.5 + random / 2);
}
