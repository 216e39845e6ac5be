import type { Daybook } from "@daybook/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { createChat, type Me, whyNot } from "./backend.js";
import { Chat } from "./chat.js";
import { MenuIcon } from "./icons.js";
import { Sidebar } from "./sidebar.js";
import { Trouble } from "./trouble.js";
import { Unopened } from "./unopened.js";
import { useChatId } from "./use-chat-id.js";
import { useChats } from "./use-chats.js";

export function App({ me, daybook }: { readonly me: Me; readonly daybook: Daybook }): React.ReactNode {
  const chats = useChats();
  const [id, show] = useChatId();
  const [isMenuOpen, setMenuOpen] = useState(false);
  const [create, trouble, clear] = useCreateChat(show);
  const newest = chats?.[0]?.id;
  const isEmpty = chats?.length === 0;
  useEffect(() => {
    if (id !== undefined) return;
    if (newest !== undefined) show(newest);
    else if (isEmpty) create();
  }, [id, newest, isEmpty, show, create]);
  const title = chats?.find((chat) => chat.id === id)?.title ?? "New chat";
  useEffect(() => {
    document.title = `${title} · Daybook`;
    setMenuOpen(false);
  }, [title, id]);
  return (
    <div className="app" data-menu={isMenuOpen ? "open" : "closed"}>
      <Sidebar
        me={me}
        chats={chats}
        shown={id}
        create={create}
        isOpen={isMenuOpen}
        close={() => setMenuOpen(false)}
      />
      <main>
        <button className="icon menu" aria-label="Show the chats" onClick={() => setMenuOpen(true)}>
          <MenuIcon />
        </button>
        <Trouble error={trouble} clear={clear} />
        {id !== undefined && (
          <Unopened key={id} begin={create}>
            <Chat id={id} title={title} me={me} daybook={daybook} />
          </Unopened>
        )}
      </main>
    </div>
  );
}

/** Makes a chat and shows it; one at a time. @returns also what went wrong, and what forgets that */
function useCreateChat(
  show: (id: string) => void,
): readonly [create: () => void, trouble: Error | undefined, clear: () => void] {
  const isCreating = useRef(false);
  const [trouble, setTrouble] = useState<Error>();
  const clear = useCallback(() => setTrouble(undefined), []);
  const create = useCallback(() => {
    if (isCreating.current) return;
    isCreating.current = true;
    clear();
    createChat()
      .then(({ id }) => show(id))
      .catch((error: unknown) => setTrouble(whyNot("No chat was made.", error)))
      .finally(() => (isCreating.current = false));
  }, [show, clear]);
  return [create, trouble, clear];
}
