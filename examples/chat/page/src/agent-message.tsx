import { isToolUIPart, type UIMessage } from "ai";
import type { Agent } from "./backend.js";
import { Markdown } from "./markdown.js";
import { shortTime } from "./short-time.js";
import { ToolCall } from "./tool-call.js";

interface AgentMessageProps {
  readonly message: UIMessage;
  readonly agent: Agent;
  /** Each agent has its side, whichever was the first to begin. */
  readonly column: number;
  readonly insertedAt: string | undefined;
  /** More of it may come. */
  readonly mayGrow: boolean;
}

export function AgentMessage(props: AgentMessageProps): React.ReactNode {
  const { message, agent, column, insertedAt, mayGrow } = props;
  const isCut = isUnfinished(message);
  return (
    <article
      className="agent"
      data-agent={agent.id}
      data-growing={isCut && mayGrow}
      aria-label={agent.name}
      style={{ "--column": column } as React.CSSProperties}
    >
      <header>
        <span className="avatar" aria-hidden="true">
          {agent.name.charAt(0)}
        </span>
        <b>{agent.name}</b>
        {insertedAt !== undefined && <time dateTime={insertedAt}>{shortTime(insertedAt)}</time>}
      </header>
      <div className="words">
        {message.parts.map((part, index) => {
          if (part.type === "text") return <Markdown key={index} text={part.text} />;
          return isToolUIPart(part) ? <ToolCall key={index} part={part} mayGrow={mayGrow} /> : null;
        })}
      </div>
      {isCut && !mayGrow && <p className="cut">stopped here</p>}
    </article>
  );
}

/** What is not whole, nor ever will be once nobody writes on it. */
function isUnfinished({ parts }: UIMessage): boolean {
  const last = parts.at(-1);
  if (last === undefined || last.type === "step-start") return true;
  if (last.type === "text") return last.state === "streaming";
  return isToolUIPart(last);
}
