import { localLocks } from "./local-locks.js";

/**
 * Everything the client takes from the world around it. Types are structural, so that a browser's globals, Node's, the
 * `ws` package and a test's simulation all fit.
 */

export interface Clock {
  /** Milliseconds that only ever rise. No wall clock is read anywhere: it may jump. */
  now(): number;
  /** Calls back once; the result takes that back. `isIdle`: nobody waits for it, so it keeps no process alive. */
  after(ms: number, callback: () => void, isIdle?: boolean): () => void;
}

/** As much of `fetch` as is used. */
export type FetchLike = (
  url: string,
  init: {
    readonly method: string;
    readonly headers: Record<string, string>;
    readonly body?: string;
    readonly signal: AbortSignal;
  },
) => Promise<ResponseLike>;

export interface ResponseLike {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  text(): Promise<string>;
  /** Only asked for by what reads an answer as it comes: replays and tails of agents' state. */
  readonly body?: BodyLike | null;
}

/** As much of a `ReadableStream` of bytes as is used. */
export interface BodyLike {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>;
    cancel(): Promise<void>;
  };
}

/** As much of a `WebSocket` as is used. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

/** As much of `navigator.locks` as is used. */
export interface LocksLike {
  /** `held` is given null when the lock was wanted only if available, and is not. */
  request(
    name: string,
    options: { readonly signal?: AbortSignal; readonly ifAvailable?: boolean },
    held: (lock: unknown) => Promise<void>,
  ): Promise<unknown>;
}

export interface Environment {
  readonly clock: Clock;
  /** From 0 up to, not including, 1. Spreads retries; nothing secret hangs on it. */
  readonly random: () => number;
  /** A text that nobody else comes up with. */
  readonly newId: () => string;
  /** Whoever holds an outbox's lock sends it. */
  readonly locks: LocksLike;
  /** Only outboxes of the same owner are taken over: the tab, where there are no locks that tell who still lives. */
  readonly owner?: string;
  /** Calls back when the network came back or the page is seen again; the result takes that back. */
  readonly onWake: (callback: () => void) => () => void;
}

/** One for all clients of a page, so that they know each other's locks. */
const LOCAL_LOCKS = localLocks();

export function defaultEnvironment(): Environment {
  return {
    clock: {
      now: () => performance.now(),
      after: (ms, callback, isIdle = false) => {
        const timer = setTimeout(callback, ms);
        // Only Node has a process that could end.
        if (isIdle) (timer as { unref?: () => void }).unref?.();
        return () => clearTimeout(timer);
      },
    },
    random: Math.random,
    newId,
    onWake,
    ...outboxOwnership(),
  };
}

function outboxOwnership(): Pick<Environment, "locks" | "owner"> {
  const page = globalThis as { navigator?: { locks?: LocksLike | null }; sessionStorage?: Storage };
  // Null in simulated browsers that know the name, and have none.
  const locks = page.navigator?.locks ?? undefined;
  if (locks !== undefined) return { locks };
  // Outside browsers the store belongs to the process.
  return page.sessionStorage === undefined
    ? { locks: LOCAL_LOCKS }
    : { locks: LOCAL_LOCKS, owner: tabId(page.sessionStorage) };
}

/** The same after a reload, another in each tab. */
function tabId(storage: Storage): string {
  const key = "daybook/tab";
  try {
    const known = storage.getItem(key) ?? newId();
    storage.setItem(key, known);
    return known;
  } catch {
    // Storage is forbidden here: the tab begins anew with each load.
    return newId();
  }
}

/** 120 random bits. `randomUUID` is only there in secure contexts. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(15));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}

/** Node has no such signals: there it never calls back. */
function onWake(callback: () => void): () => void {
  const page = globalThis as {
    addEventListener?: (name: string, listener: () => void) => void;
    removeEventListener?: (name: string, listener: () => void) => void;
    document?: Document;
  };
  const { document } = page;
  if (document === undefined || page.addEventListener === undefined) return () => undefined;
  const seen = (): void => {
    if (document.visibilityState === "visible") callback();
  };
  page.addEventListener("online", callback);
  page.addEventListener("pageshow", callback);
  document.addEventListener("visibilitychange", seen);
  return () => {
    page.removeEventListener?.("online", callback);
    page.removeEventListener?.("pageshow", callback);
    document.removeEventListener("visibilitychange", seen);
  };
}
