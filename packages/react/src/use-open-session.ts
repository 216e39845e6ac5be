"use client";

import type { Session } from "@daybook/client";
import { type DependencyList, useEffect, useState } from "react";

/**
 * Opens a session when the component is mounted, another one when `deps` change, and closes it at the end: what it still
 * has to send is sent first.
 *
 * @param open not called on a server; the signal aborts when nobody wants the session any more
 * @returns undefined until it is open. What `open` throws is thrown in rendering, for an error boundary.
 *
 * @example
 * const session = useOpenSession(() => daybook.session({ token, refreshToken }), [token]);
 */
export function useOpenSession(
  open: (signal: AbortSignal) => Session | Promise<Session>,
  deps: DependencyList,
): Session | undefined {
  const [opened, setOpened] = useState<{ readonly session: Session } | { readonly error: unknown }>();
  useEffect(() => {
    const unwanted = new AbortController();
    const { signal } = unwanted;
    const opening = (async () => open(signal))();
    opening.then(
      (session) => !signal.aborted && setOpened({ session }),
      (error: unknown) => !signal.aborted && setOpened({ error }),
    );
    return () => {
      unwanted.abort();
      setOpened(undefined);
      // Whoever wanted it knows why it is not there.
      opening.then((session) => session.close()).catch(() => undefined);
    };
    // It is the caller's function, and so are the reasons to call it again.
  }, deps);
  if (opened !== undefined && "error" in opened) throw opened.error;
  return opened?.session;
}
