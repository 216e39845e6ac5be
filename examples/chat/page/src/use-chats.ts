import { useEffect, useState } from "react";
import type { ChatRecord } from "./backend.js";

/** The chats there are, as the backend tells them; undefined until it has. */
export function useChats(): readonly ChatRecord[] | undefined {
  const [chats, setChats] = useState<readonly ChatRecord[]>();
  useEffect(() => {
    // It connects again by itself.
    const source = new EventSource("/api/chats");
    source.onmessage = ({ data }: MessageEvent<string>) => setChats(JSON.parse(data) as ChatRecord[]);
    return () => source.close();
  }, []);
  return chats;
}
