import type { Authenticator } from "./authenticator.js";
import type { KeyFolder } from "./key-folder.js";
import { KeyRing } from "./key-ring.js";

/** A revocation counts within a second; this is how often the folder is looked at. */
const LOOK_MS = 250;

/**
 * Notices keys that another process made, rotated or revoked. Looking at the folder's time is cheap and works on every
 * file system, which watching does not.
 */
export function watchKeys(
  folder: KeyFolder,
  authenticator: Authenticator,
  onError: (error: unknown) => void,
): { stop(): void } {
  let seen: string | undefined;
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    try {
      const version = await folder.version();
      if (version === seen) return;
      authenticator.replaceKeys(await KeyRing.load(await folder.read()));
      seen = version;
    } catch (error) {
      // The keys in hand stay; the next look may find the folder whole again.
      onError(error);
    } finally {
      looking = false;
    }
  };
  const timer = setInterval(() => void look(), LOOK_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
