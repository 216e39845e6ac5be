import type { UIMessage } from "ai";
import type { Me } from "./backend.js";
import { ClockIcon } from "./icons.js";
import { shortTime } from "./short-time.js";

interface PersonMessageProps {
  readonly message: UIMessage;
  readonly me: Me;
  readonly actor?: string;
  readonly insertedAt?: string;
  readonly isPending: boolean;
}

export function PersonMessage({
  message,
  me,
  actor,
  insertedAt,
  isPending,
}: PersonMessageProps): React.ReactNode {
  const isOwn = actor === undefined || actor === `user:${me.id}`;
  const name = isOwn ? "You" : nameOf(actor);
  return (
    <article className={isOwn ? "person own" : "person"} data-pending={isPending} aria-label={name}>
      <div className="words">{textOf(message)}</div>
      <p className="under">
        {!isOwn && <span>{name}</span>}
        {isPending ? (
          <span className="waiting">
            <ClockIcon /> waits to be sent
          </span>
        ) : (
          insertedAt !== undefined && <time dateTime={insertedAt}>{shortTime(insertedAt)}</time>
        )}
      </p>
    </article>
  );
}

export function textOf({ parts }: UIMessage): string {
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

/** `user:amber-heron-42` is Amber Heron. */
function nameOf(actor: string): string {
  const words = actor.replace(/^\w+:/, "").replace(/-\d+$/, "").split("-");
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(" ");
}
