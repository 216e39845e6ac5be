import { setTimeout as pause } from "node:timers/promises";
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Prompt,
  LanguageModelV3StreamPart,
} from "@ai-sdk/provider";
import { type Result, SCRIPTS, type Step } from "./script.js";

/**
 * A script in a model's place: no key is needed, and all else is as with a real one. It reads the prompt, calls tools and
 * gets their results, and says what it has to say word by word.
 *
 * @param wordMs how long a word takes
 */
export function scriptedModel(id: string, wordMs: number): LanguageModelV3 {
  return {
    specificationVersion: "v3",
    provider: "script",
    modelId: id,
    supportedUrls: {},
    doGenerate: () => Promise.reject(new Error("The script only streams.")),
    doStream: (options) => Promise.resolve({ stream: streamOf(play(id, options, wordMs)) }),
  };
}

function streamOf(
  parts: AsyncGenerator<LanguageModelV3StreamPart>,
): ReadableStream<LanguageModelV3StreamPart> {
  return new ReadableStream<LanguageModelV3StreamPart>({
    pull: async (controller) => {
      const next = await parts.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    cancel: async () => {
      await parts.return(undefined);
    },
  });
}

async function* play(
  id: string,
  { prompt, abortSignal }: LanguageModelV3CallOptions,
  wordMs: number,
): AsyncGenerator<LanguageModelV3StreamPart> {
  yield { type: "stream-start", warnings: [] };
  const step = nextStep(id, prompt);
  const name = `say-${prompt.length}`;
  yield { type: "text-start", id: name };
  for (const delta of step.say.match(/\S+\s*|^\s+/g) ?? []) {
    await pause(wordMs, undefined, { signal: abortSignal });
    yield { type: "text-delta", id: name, delta };
  }
  yield { type: "text-end", id: name };
  if (step.call !== undefined) yield* call(`call-${prompt.length}`, step.call);
  yield {
    type: "finish",
    finishReason: { unified: step.call === undefined ? "stop" : "tool-calls", raw: undefined },
    usage: USAGE,
  };
}

function* call(
  id: string,
  { toolName, input }: NonNullable<Step["call"]>,
): Generator<LanguageModelV3StreamPart> {
  const text = JSON.stringify(input);
  yield { type: "tool-input-start", id, toolName };
  yield { type: "tool-input-delta", id, delta: text };
  yield { type: "tool-input-end", id };
  yield { type: "tool-call", toolCallId: id, toolName, input: text };
}

/** What comes next, from what was asked last and what the tools have found since. */
function nextStep(id: string, prompt: LanguageModelV3Prompt): Step {
  const asked = prompt.findLastIndex(({ role }) => role === "user");
  const question = prompt
    .slice(asked, asked + 1)
    .flatMap(textsOf)
    .join(" ");
  const results = prompt.slice(asked + 1).flatMap(resultsOf);
  const script = SCRIPTS[id];
  if (script === undefined) throw new Error(`There is no script for ${id}.`);
  return script(question, results);
}

function textsOf({ content }: LanguageModelV3Prompt[number]): string[] {
  return typeof content === "string"
    ? [content]
    : content.flatMap((part) => (part.type === "text" ? [part.text] : []));
}

function resultsOf({ role, content }: LanguageModelV3Prompt[number]): Result[] {
  if (role !== "tool") return [];
  return content.flatMap((part) =>
    part.type === "tool-result" && part.output.type === "json" ? [part.output.value as Result] : [],
  );
}

const NONE = { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined };
const USAGE = {
  inputTokens: NONE,
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};
