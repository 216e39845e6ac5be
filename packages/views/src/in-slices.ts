/** How long one slice holds the event loop: appends and reads go on in between. */
const SLICE_MS = 0.5;
/** What others get between two slices when nobody waits for the end: several times as much. */
const PAUSE_MS = 3;

/** Looking at the clock costs as much as a small step, so it is not done after each. */
const STEPS_PER_LOOK = 8;

const ALWAYS = (): boolean => true;

/**
 * Goes through all items, a slice of them at a time. When it is not urgent there are pauses between the slices: a
 * server that is half busy would fall behind if its other half were used up at once.
 */
export async function inSlices<Item>(
  items: Iterable<Item>,
  step: (item: Item) => void,
  isUrgent: () => boolean = ALWAYS,
): Promise<void> {
  let sliceEnds = performance.now() + SLICE_MS;
  let steps = 0;
  for (const item of items) {
    step(item);
    if (++steps % STEPS_PER_LOOK !== 0 || performance.now() < sliceEnds) continue;
    await new Promise((resolve) => (isUrgent() ? setImmediate(resolve) : setTimeout(resolve, PAUSE_MS)));
    sliceEnds = performance.now() + SLICE_MS;
  }
}
