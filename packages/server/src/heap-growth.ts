import { setFlagsFromString } from "node:v8";

/** How far the heap may grow beyond what lives before all of it is looked through again. */
const GROWTH_PERCENT = 200;

/**
 * Trades memory for short pauses, for the whole process. V8 looks through the heap each time it has grown by about a
 * third, with as many threads as it likes: on a small machine requests wait for them. Here that comes when the heap is
 * three times what lives, as for a process that V8 finds busy. See docs/decisions/0013-heap-growth.md.
 */
export function letHeapGrow(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
