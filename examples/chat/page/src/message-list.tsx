import type { ShownOrigin } from "@daybook/react";
import type { UIMessage } from "ai";
import { memo } from "react";
import type { Agent, Me } from "./backend.js";
import { AgentMessage } from "./agent-message.js";
import { PersonMessage } from "./person-message.js";

interface MessageListProps {
  readonly messages: readonly UIMessage[];
  readonly isBusy: boolean;
  /** Nothing of an answer has come yet. */
  readonly isAwaited: boolean;
  readonly me: Me;
  readonly originOf: (message: UIMessage) => ShownOrigin;
}

/** What was said, turn by turn: a question, and beside each other the answers to it. */
export function MessageList({
  messages,
  isBusy,
  isAwaited,
  me,
  originOf,
}: MessageListProps): React.ReactNode {
  const turns = turnsOf(messages);
  const agentOf = (message: UIMessage): Agent => agentNamed(originOf(message).actor, me.cast);
  return turns.map(({ question, answers }, index) => {
    const isLast = index === turns.length - 1;
    // Nobody reads what was not sent yet.
    const isRead = isLast && isAwaited && question !== undefined && !originOf(question).isPending;
    return (
      <section className="turn" key={question?.id ?? answers[0]?.id}>
        {question !== undefined && <Question message={question} me={me} {...originOf(question)} />}
        {answers.length > 0 && (
          <div className="answers" data-agents={new Set(answers.map(agentOf)).size}>
            {answers.map((message) => (
              <Answer
                key={message.id}
                message={message}
                agent={agentOf(message)}
                column={me.cast.indexOf(agentOf(message)) + 1}
                insertedAt={originOf(message).insertedAt}
                mayGrow={isLast && isBusy}
              />
            ))}
          </div>
        )}
        {isRead && answers.length === 0 && <p className="awaited">The agents are reading…</p>}
      </section>
    );
  });
}

/** A message is the same object until it changes: the others are not rendered again. */
const Question = memo(PersonMessage);
const Answer = memo(AgentMessage);

interface Turn {
  readonly question: UIMessage | undefined;
  readonly answers: UIMessage[];
}

function turnsOf(messages: readonly UIMessage[]): Turn[] {
  const turns: Turn[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (message.role === "user") turns.push({ question: message, answers: [] });
    else if (last === undefined) turns.push({ question: undefined, answers: [message] });
    else last.answers.push(message);
  }
  return turns;
}

const unknown = new Map<string, Agent>();

/** Who it is; of somebody who is not of the cast the same object each time, so that nothing is rendered again for it. */
function agentNamed(actor = "", cast: readonly Agent[]): Agent {
  const id = actor.replace(/^agent:/, "");
  const agent = cast.find((one) => one.id === id) ?? unknown.get(id) ?? { id, name: id, role: "" };
  unknown.set(id, agent);
  return agent;
}
