import type { Agent } from "./backend.js";

const QUESTIONS = [
  "How does stop reach the agents?",
  "Where is an answer recorded?",
  "How does scroll keep its place?",
  "Which tools do you have?",
];

/** What a chat shows before anything is said in it. */
export function Welcome({
  cast,
  ask,
}: {
  readonly cast: readonly Agent[];
  readonly ask: (question: string) => void;
}): React.ReactNode {
  return (
    <div className="welcome">
      <h2>What would you like to know?</h2>
      <p>
        Two agents read the source of this app and answer together:{" "}
        {cast.map(({ id, name, role }, index) => (
          <span key={id}>
            {index > 0 && ", "}
            <b data-agent={id}>{name}</b> {role}
          </span>
        ))}
        . Reload in the middle of an answer, open a second window, or pull the plug: nothing is lost.
      </p>
      <ul>
        {QUESTIONS.map((question) => (
          <li key={question}>
            <button onClick={() => ask(question)}>{question}</button>
          </li>
        ))}
      </ul>
    </div>
  );
}
