import type { Daybook } from "@daybook/client";
import { useDaybookChat, useOpenSession } from "@daybook/react";
import { fetchToken, type Me, patiently } from "./backend.js";
import { Composer } from "./composer.js";
import { Connection, OfflineNote } from "./connection.js";
import { AgainIcon, DownIcon } from "./icons.js";
import { MessageList } from "./message-list.js";
import { Trouble } from "./trouble.js";
import { useScroll } from "./use-scroll.js";
import { Welcome } from "./welcome.js";

interface ChatProps {
  readonly id: string;
  readonly title: string;
  readonly me: Me;
  readonly daybook: Daybook;
}

/** Frames, not chunks, are what somebody can see. */
const RENDER_MS = 30;

/** One chat, with its session opened for it, by a token that the backend gives. */
export function Chat({ id, title, me, daybook }: ChatProps): React.ReactNode {
  const session = useOpenSession(
    async (signal) => {
      const token = await patiently(() => fetchToken(id), signal);
      return daybook.session({ token, refreshToken: () => fetchToken(id) });
    },
    [daybook, id],
  );
  const chat = useDaybookChat({ session, throttle: RENDER_MS });
  const { messages, status, error, isLoading, hasOlder, isLoadingOlder } = chat;
  const scroll = useScroll(messages[0]?.id, hasOlder && !isLoadingOlder, chat.loadOlder);
  const isBusy = status === "submitted" || status === "streaming";
  const send = (text: string): void => {
    void chat.sendMessage({ text });
    scroll.toEnd();
  };
  return (
    <>
      <header className="head">
        <h1>{title}</h1>
        <Connection status={chat.connection} />
      </header>
      <OfflineNote status={chat.connection} />
      <div className="scroller" ref={scroll.scroller} tabIndex={0} role="region" aria-label="Messages">
        <div className="column" ref={scroll.content} role="log" aria-busy={isBusy || isLoading}>
          {hasOlder && <p className="older">{isLoadingOlder ? "Reading what was before…" : "…"}</p>}
          {!isLoading && messages.length === 0 && <Welcome cast={me.cast} ask={send} />}
          <MessageList
            messages={messages}
            isBusy={isBusy}
            isAwaited={status === "submitted"}
            me={me}
            originOf={chat.originOf}
          />
          <Trouble error={error} clear={chat.clearError} />
          {!isBusy && messages.some(({ role }) => role === "user") && (
            <button className="again" onClick={() => void chat.regenerate()}>
              <AgainIcon /> Answer again
            </button>
          )}
        </div>
      </div>
      <footer className="foot">
        {!scroll.isAtEnd && (
          <button className="icon to-end" aria-label="Go to the newest message" onClick={scroll.toEnd}>
            <DownIcon />
          </button>
        )}
        <Composer
          cast={me.cast}
          isReady={session !== undefined}
          isBusy={isBusy}
          send={send}
          stop={() => void chat.stop()}
        />
      </footer>
    </>
  );
}
