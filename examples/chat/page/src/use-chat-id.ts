import { useCallback, useSyncExternalStore } from "react";

/** Which chat is shown stands in the URL, behind the #. */
export function useChatId(): readonly [string | undefined, (id: string) => void] {
  const id = useSyncExternalStore(subscribe, current);
  const show = useCallback((next: string) => {
    location.hash = next;
  }, []);
  return [id === "" ? undefined : id, show];
}

function current(): string {
  return decodeURIComponent(location.hash.slice(1));
}

function subscribe(changed: () => void): () => void {
  addEventListener("hashchange", changed);
  return () => removeEventListener("hashchange", changed);
}
