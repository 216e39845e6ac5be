import { createRequire } from "node:module";
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { StoreRefused } from "./refusals.js";

// The package has no types and no ES module; this is all that is used of it.
const { tryLock } = createRequire(import.meta.url)("fs-native-extensions") as {
  readonly tryLock: (descriptor: number) => boolean;
};

/**
 * One process at a time. The lock is the kernel's, on an open file: it ends with the process however that ends, it
 * does not outlive a container, and two that start at once cannot both have it.
 *
 * @throws StoreRefused `locked`
 */
export function lockFolder(folder: string): { release(): void } {
  const descriptor = openSync(join(folder, "lock"), "a+", 0o600);
  if (!tryLock(descriptor)) {
    closeSync(descriptor);
    throw new StoreRefused(
      "locked",
      `${folder} is in use by another process. Stop it, or choose another --data-dir.`,
    );
  }
  // For people who look; the lock itself does not depend on what the file says.
  ftruncateSync(descriptor, 0);
  writeSync(descriptor, `${process.pid}\n`);
  return { release: () => closeSync(descriptor) };
}
