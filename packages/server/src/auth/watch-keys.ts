import type { Authenticator } from "./authenticator.js";
import type { KeyFolder } from "./key-folder.js";
import { KeyRing } from "./key-ring.js";

/** A revocation counts within a second; this is how often the folder is looked at. */
const LOOK_MS = 250;

export interface KeysWatch {
  /** Resolves once what was on disk when this was called is known. */
  look(): Promise<void>;
  stop(): void;
}

/**
 * Notices keys that another process made, rotated or revoked. Looking at the folder's time is cheap and works on every
 * file system, which watching does not.
 */
export function watchKeys(
  folder: KeyFolder,
  authenticator: Pick<Authenticator, "replaceKeys">,
  onError: (error: unknown) => void,
): KeysWatch {
  let seen: string | undefined;
  let isFailing = false;
  let looking: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const read = async (): Promise<void> => {
    try {
      const version = await folder.version();
      if (version !== undefined && version === seen) return;
      authenticator.replaceKeys(await KeyRing.load(await folder.read()));
      seen = version;
      isFailing = false;
    } catch (error) {
      // The keys in hand stay; the next look may find the folder whole again. Said once, and not four times a second.
      if (!isFailing) onError(error);
      isFailing = true;
    }
  };
  const look = (): Promise<void> => {
    if (looking === undefined) {
      looking = read().finally(() => (looking = undefined));
      return looking;
    }
    // A look under way may have passed over what was just written.
    next ??= looking.then(() => {
      next = undefined;
      return look();
    });
    return next;
  };
  const timer = setInterval(() => void (looking ?? look()), LOOK_MS);
  timer.unref();
  return { look, stop: () => clearInterval(timer) };
}
