"use client";

import type { AppendInput, AppendResult, Session } from "@daybook/client";
import { useMemo, useState, useSyncExternalStore } from "react";
import { SessionStore, type SessionStoreOptions, type SessionView } from "./session-store.js";

export interface UseSessionOptions extends SessionStoreOptions {
  /** The session to read and write; undefined as long as there is none, on a server say. */
  readonly session: Session | undefined;
}

export interface UsedSession extends SessionView {
  /**
   * Appends one event: `events` has it when it is committed.
   *
   * @throws DaybookError what it was refused for
   */
  readonly append: (input: AppendInput & { readonly expectedSeq?: number }) => Promise<AppendResult>;
  /** Loads the events before the first one: a page. */
  readonly loadOlder: () => Promise<void>;
}

/**
 * A session's events, live: the newest page first, then what comes, and older pages when they are asked for. Lost
 * connections, restarts and tokens that end are the client's business.
 *
 * @example
 * const { events, status, append } = useSession({ session });
 */
export function useSession(options: UseSessionOptions): UsedSession {
  const { session } = options;
  const [opened, setOpened] = useState(() => new SessionStore(session, options));
  // Another session is used at once: nothing of the old one is shown under its name.
  const used = opened.session === session ? opened : new SessionStore(session, options);
  if (used !== opened) setOpened(used);
  const { store, append, loadOlder } = used;
  const view = useSyncExternalStore(store.subscribe, store.snapshot, store.initial);
  return useMemo(() => ({ ...view, append, loadOlder }), [view, append, loadOlder]);
}
