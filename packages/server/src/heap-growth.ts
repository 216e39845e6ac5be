import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";

/** How far the heap may grow beyond what lives before all of it is looked through again: V8's own limit for this. */
const GROWTH_PERCENT = 300;

/**
 * Trades memory for short pauses, for the whole process. V8 looks through the heap again and again as it grows, on
 * several threads: on a small machine requests wait for them. Here that comes when the heap is four times what lives,
 * and one CPU is left to those who wait. See docs/decisions/0013-heap-growth.md.
 */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
  setFlagsFromString(`--concurrent-marking-max-worker-num=${Math.max(1, availableParallelism() - 1)}`);
}
