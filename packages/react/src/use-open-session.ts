"use client";

import type { Session } from "@daybook/client";
import { type DependencyList, useEffect, useState } from "react";

/**
 * Opens a session when the component is mounted, another one when `deps` change, and closes it at the end: what it still
 * has to send is sent first.
 *
 * @param open not called on a server
 * @returns undefined until it is open. What `open` throws is thrown in rendering, for an error boundary.
 *
 * @example
 * const session = useOpenSession(() => daybook.session({ token, refreshToken }), [token]);
 */
export function useOpenSession(
  open: () => Session | Promise<Session>,
  deps: DependencyList,
): Session | undefined {
  const [opened, setOpened] = useState<{ readonly session: Session } | { readonly error: unknown }>();
  useEffect(() => {
    let isMounted = true;
    const opening = (async () => open())();
    opening.then(
      (session) => isMounted && setOpened({ session }),
      (error: unknown) => isMounted && setOpened({ error }),
    );
    return () => {
      isMounted = false;
      setOpened(undefined);
      // Whoever wanted it knows why it is not there.
      opening.then((session) => session.close()).catch(() => undefined);
    };
    // It is the caller's function, and so are the reasons to call it again.
  }, deps);
  if (opened !== undefined && "error" in opened) throw opened.error;
  return opened?.session;
}
