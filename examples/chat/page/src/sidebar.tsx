import { useEffect, useState } from "react";
import { archiveChat, type ChatRecord, type Me, whyNot } from "./backend.js";
import { ArchiveIcon, CloseIcon, PlusIcon } from "./icons.js";
import { shortTime } from "./short-time.js";
import { Trouble } from "./trouble.js";

interface SidebarProps {
  readonly me: Me;
  readonly chats: readonly ChatRecord[] | undefined;
  readonly shown: string | undefined;
  readonly create: () => void;
  /** On a narrow screen it is over the chat, or away. */
  readonly isOpen: boolean;
  readonly close: () => void;
}

export function Sidebar({ me, chats, shown, create, isOpen, close }: SidebarProps): React.ReactNode {
  const [archive, trouble, clear] = useArchive({ shown, create, chats });
  useEffect(() => {
    if (!isOpen) return;
    const onKey = ({ key }: KeyboardEvent): void => {
      if (key === "Escape") close();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [isOpen, close]);
  return (
    <>
      <div className="curtain" onClick={close} />
      <nav className="sidebar" aria-label="Chats">
        <header>
          <p className="wordmark">Daybook</p>
          <button className="icon close" aria-label="Hide the chats" onClick={close}>
            <CloseIcon />
          </button>
        </header>
        <button
          className="new-chat"
          onClick={() => {
            create();
            close();
          }}
        >
          <PlusIcon /> New chat
        </button>
        <ul className="chats">
          {chats?.map((chat) => (
            <li key={chat.id}>
              <a href={`#${chat.id}`} aria-current={chat.id === shown ? "page" : undefined} onClick={close}>
                <span className="title">{chat.title ?? "New chat"}</span>
                <time dateTime={chat.updatedAt}>{shortTime(chat.updatedAt)}</time>
              </a>
              <button
                className="icon archive"
                aria-label={`Archive ${chat.title ?? "New chat"}`}
                onClick={() => archive(chat)}
              >
                <ArchiveIcon />
              </button>
            </li>
          ))}
        </ul>
        <Trouble error={trouble} clear={clear} />
        <footer>
          <span className="avatar person" aria-hidden="true">
            {initials(me.name)}
          </span>
          <span>
            {me.name}
            <small>that is you</small>
          </span>
        </footer>
      </nav>
    </>
  );
}

/** Archives a chat, and goes on to another one if it is shown. @returns also what went wrong, and what forgets that */
function useArchive({
  shown,
  create,
  chats,
}: Pick<SidebarProps, "shown" | "create" | "chats">): readonly [
  archive: (chat: ChatRecord) => void,
  trouble: Error | undefined,
  clear: () => void,
] {
  const [trouble, setTrouble] = useState<Error>();
  const clear = (): void => setTrouble(undefined);
  const goOn = (id: string): void => {
    if (id !== shown) return;
    const next = chats?.find((chat) => chat.id !== id);
    if (next === undefined) create();
    else location.hash = next.id;
  };
  const archive = ({ id }: ChatRecord): void => {
    clear();
    archiveChat(id).then(
      () => goOn(id),
      (error: unknown) => setTrouble(whyNot("The chat was not archived.", error)),
    );
  };
  return [archive, trouble, clear];
}

export function initials(name: string): string {
  return name
    .split(" ")
    .map((word) => word.charAt(0))
    .join("");
}
