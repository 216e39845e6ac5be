import { useRef, useState } from "react";
import type { Agent } from "./backend.js";
import { SendIcon, StopIcon } from "./icons.js";

interface ComposerProps {
  readonly cast: readonly Agent[];
  readonly isReady: boolean;
  readonly isBusy: boolean;
  readonly send: (text: string) => void;
  readonly stop: () => void;
}

export function Composer({ cast, isReady, isBusy, send, stop }: ComposerProps): React.ReactNode {
  const [text, setText] = useState("");
  const input = useRef<HTMLTextAreaElement>(null);
  const said = text.trim();
  const submit = (): void => {
    if (said === "" || !isReady) return;
    send(said);
    setText("");
    input.current?.focus();
  };
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <textarea
        ref={input}
        rows={1}
        value={text}
        aria-label="Message"
        placeholder={`Ask ${cast.map(({ name }) => name).join(" and ")}, or @${cast[0]?.id ?? "one"} alone`}
        autoFocus
        onChange={({ target }) => setText(target.value)}
        onKeyDown={(event) => {
          // While somebody composes a character, Enter chooses it.
          if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          submit();
        }}
      />
      {isBusy && (
        <button type="button" className="icon stop" aria-label="Stop the answers" onClick={stop}>
          <StopIcon />
        </button>
      )}
      <button className="icon send" aria-label="Send" disabled={said === "" || !isReady}>
        <SendIcon />
      </button>
    </form>
  );
}
