import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { KeyFileDamaged, KeyFolder } from "./key-folder.js";
import { ensureSigningKey } from "./key-ring.js";
import { watchKeys } from "./watch-keys.js";

test("a keys folder that cannot be read is said once, and again only after it was well meanwhile", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "daybook-watch-"));
  const folder = new KeyFolder(dataDir);
  await ensureSigningKey(folder);
  const damaged = join(folder.path, "api-key_x.json");
  const errors: unknown[] = [];
  let replaced = 0;
  const watch = watchKeys(folder, { replaceKeys: () => replaced++ }, (error) => errors.push(error));
  for (const expected of [1, 2]) {
    await writeFile(damaged, "{");
    for (let look = 0; look < 3; look++) await watch.look();
    expect(errors).toHaveLength(expected);
    await rm(damaged);
    await watch.look();
  }
  expect(errors.every((error) => error instanceof KeyFileDamaged)).toBe(true);
  expect(replaced).toBeGreaterThan(0);
  watch.stop();
  await rm(dataDir, { recursive: true, force: true });
});
