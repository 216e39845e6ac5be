/** How long one slice holds the event loop: appends and reads go on in between. */
const SLICE_MS = 1;

/** Looking at the clock costs as much as a small step, so it is not done after each. */
const STEPS_PER_LOOK = 32;

/** Goes through all items, a slice of them per turn of the event loop. */
export async function inSlices<Item>(items: Iterable<Item>, step: (item: Item) => void): Promise<void> {
  let sliceEnds = performance.now() + SLICE_MS;
  let steps = 0;
  for (const item of items) {
    step(item);
    if (++steps % STEPS_PER_LOOK !== 0 || performance.now() < sliceEnds) continue;
    await new Promise((resolve) => setImmediate(resolve));
    sliceEnds = performance.now() + SLICE_MS;
  }
}
