import type { Daybook, Session } from "@daybook/client";
import { useEffect, useState } from "react";
import { fetchToken, patiently } from "./backend.js";

interface Opened {
  readonly id: string;
  readonly session?: Session;
  readonly error?: Error;
}

/** Opens a session for as long as it is shown, with a token that the backend gives. */
export function useSession(daybook: Daybook, id: string): Opened {
  const [opened, setOpened] = useState<Opened>({ id });
  useEffect(() => {
    const leaving = new AbortController();
    let session: Session | undefined;
    const open = async (): Promise<void> => {
      const token = await patiently(() => fetchToken(id), leaving.signal);
      if (leaving.signal.aborted) return;
      session = daybook.session({ token, refreshToken: () => fetchToken(id) });
      setOpened({ id, session });
    };
    open().catch((error: unknown) => {
      if (!leaving.signal.aborted) setOpened({ id, error: error as Error });
    });
    return () => {
      leaving.abort();
      void session?.close();
    };
  }, [daybook, id]);
  return opened.id === id ? opened : { id };
}
