import type { LocksLike } from "./environment.js";

/** Locks among the clients of one page or process, where there are no Web Locks. */
export function localLocks(): LocksLike {
  /** Who holds a name, and the end of the line behind him. */
  const lines = new Map<string, Promise<void>>();
  return {
    request: async (name, { ifAvailable = false, signal }, held) => {
      const before = lines.get(name);
      if (before !== undefined && ifAvailable) return held(null);
      const turn = (before ?? Promise.resolve()).then(() => {
        if (signal?.aborted === true) throw new DOMException("The request was aborted.", "AbortError");
        return held({ name });
      });
      const end = turn.catch(() => undefined);
      lines.set(name, end);
      await end;
      if (lines.get(name) === end) lines.delete(name);
      return turn;
    },
  };
}
