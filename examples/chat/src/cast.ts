/** An agent that takes part in every chat. */
export interface Part {
  /** Events are signed with it: `agent:scout`. */
  readonly id: string;
  readonly name: string;
  /** For people. */
  readonly role: string;
  /** For a model. */
  readonly instructions: string;
}

const HOUSE_RULES = `You are in a chat with a person and another agent. The chat is about the source code of the small
app it runs in, and your tools read its folder. Use them before you state facts. Answer in Markdown, in at most 150 words,
and leave out what the other agent has said already.`;

/** Both answer whatever is said, unless it is said to one of them: "@scout …". */
export const CAST: readonly Part[] = [
  {
    id: "scout",
    name: "Scout",
    role: "opens files and quotes them",
    instructions: `You are Scout. Find the file that matters most, read it, and quote the lines that answer. ${HOUSE_RULES}`,
  },
  {
    id: "tally",
    name: "Tally",
    role: "searches and counts",
    instructions: `You are Tally. Search the whole folder, and say in numbers where something is dealt with. ${HOUSE_RULES}`,
  },
];

/** Whether an agent is meant by a text: those that are named in it, or all if none is. */
export function isMeant(part: Part, text: string): boolean {
  const named = CAST.filter(({ id }) => new RegExp(`@${id}\\b`, "i").test(text));
  return named.length === 0 || named.includes(part);
}
