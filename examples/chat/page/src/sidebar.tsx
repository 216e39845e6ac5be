import { useEffect } from "react";
import { archiveChat, type ChatRecord, type Me } from "./backend.js";
import { ArchiveIcon, CloseIcon, PlusIcon } from "./icons.js";
import { shortTime } from "./short-time.js";

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
                onClick={() => void archive(chat, shown, create, chats)}
              >
                <ArchiveIcon />
              </button>
            </li>
          ))}
        </ul>
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

async function archive(
  { id }: ChatRecord,
  shown: string | undefined,
  create: () => void,
  chats: readonly ChatRecord[],
): Promise<void> {
  await archiveChat(id);
  if (id !== shown) return;
  const next = chats.find((chat) => chat.id !== id);
  if (next === undefined) create();
  else location.hash = next.id;
}

export function initials(name: string): string {
  return name
    .split(" ")
    .map((word) => word.charAt(0))
    .join("");
}
