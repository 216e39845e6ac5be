import type { AgentTurn } from "@daybook/client/ai";
import {
  convertToModelMessages,
  type ModelMessage,
  readUIMessageStream,
  stepCountIs,
  streamText,
  type UIMessage,
} from "ai";
import { CAST, isMeant, type Part } from "./cast.js";
import { modelOf } from "./model.js";
import { TOOLS } from "./tools.js";

const STEPS_MAX = 8;
/** What a model is told of what was said before. */
const MESSAGES_MAX = 40;

type Message = UIMessage<{ readonly agent?: string } | undefined>;

/** One agent's answer to one message, recorded while it is made. */
export async function answer(part: Part, turn: AgentTurn): Promise<void> {
  // Nothing recorded: the message counts as handled.
  if (!isMeant(part, textOf(turn.message as Message))) return;
  const result = streamText({
    model: modelOf(part),
    system: part.instructions,
    messages: await promptOf(part, await turn.messages<Message>(readUIMessageStream)),
    tools: TOOLS,
    stopWhen: stepCountIs(STEPS_MAX),
    abortSignal: turn.signal,
    // It ends the recording, and is reported there.
    onError: () => undefined,
  });
  await turn.record(
    result.toUIMessageStream<Message>({
      // So that the other agents know later whose words these were.
      messageMetadata: ({ part: { type } }) => (type === "start" ? { agent: part.id } : undefined),
    }),
  );
}

/** To an agent, its own answers are the assistant's; what others said, it is told. */
function promptOf(part: Part, messages: readonly Message[]): Promise<ModelMessage[]> {
  const told = messages.slice(-MESSAGES_MAX).map((message): Message => {
    const { metadata, role } = message;
    if (role !== "assistant" || metadata?.agent === part.id) return message;
    const name = CAST.find(({ id }) => id === metadata?.agent)?.name ?? "Somebody";
    return { ...message, role: "user", parts: [{ type: "text", text: `${name} said: ${textOf(message)}` }] };
  });
  return convertToModelMessages(told, { tools: TOOLS, ignoreIncompleteToolCalls: true });
}

function textOf({ parts }: Message): string {
  return parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}
