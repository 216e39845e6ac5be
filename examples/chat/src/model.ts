import { createOpenAI } from "@ai-sdk/openai";
import type { LanguageModel } from "ai";
import type { Part } from "./cast.js";
import { scriptedModel } from "./scripted-model.js";

const { OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL = "gpt-4.1-mini", CHAT_WORD_MS = "35" } = process.env;

/** Whether there is a real one; else a script stands in its place. */
export const isReal = OPENAI_API_KEY !== undefined || OPENAI_BASE_URL !== undefined;

/** The model of an agent: OpenAI's, any with an API like it (`OPENAI_BASE_URL`), or a script. */
export function modelOf(part: Part): LanguageModel {
  if (!isReal) return scriptedModel(part.id, Number(CHAT_WORD_MS));
  const provider = createOpenAI({
    // Servers on one's own machine mostly want none.
    apiKey: OPENAI_API_KEY ?? "none",
    ...(OPENAI_BASE_URL !== undefined && { baseURL: OPENAI_BASE_URL }),
  });
  // What everybody else has of OpenAI's API as well.
  return provider.chat(OPENAI_MODEL);
}
