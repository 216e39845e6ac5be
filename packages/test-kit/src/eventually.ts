import { setTimeout as pause } from "node:timers/promises";

/** How long a condition may take to come true; far above what any should need. */
const PATIENCE_MS = 20_000;

/** Waits for a condition, and says which one never came true. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const endsAt = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > endsAt) throw new Error(`this never came true: ${what}`);
    await pause(2);
  }
}

/** The value of a promise, or an error that says what did not happen in time. */
export async function within<Value>(
  what: string,
  promise: Promise<Value>,
  patienceMs = PATIENCE_MS,
): Promise<Value> {
  const timeUp = new AbortController();
  const late = pause(patienceMs, undefined, { signal: timeUp.signal }).then(
    () => {
      throw new Error(`this did not happen within ${patienceMs} ms: ${what}`);
    },
    // Not late: the timer was taken back.
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    timeUp.abort();
  }
}
