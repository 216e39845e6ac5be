import { isObject } from "../errors.js";
import type { MessagePart } from "./wire.js";

/**
 * OpenAI's chat messages keep calls of tools beside their content, and results in messages of their own. As parts:
 *
 *     {type: "tool_call", tool_call: {id, type, function: {name, arguments}}}
 *     {type: "tool_result", tool_call_id, text, content?}
 *
 * All other parts are OpenAI's content parts, as they are.
 */

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly input: unknown;
}

export function openAICallOf({ type, tool_call: call }: MessagePart): ToolCall | undefined {
  if (type !== "tool_call" || !isObject(call) || typeof call.id !== "string") return undefined;
  const made = isObject(call.function) ? call.function : isObject(call.custom) ? call.custom : {};
  return { id: call.id, name: String(made.name), input: parsed(made.arguments ?? made.input) };
}

export function openAIResultOf({
  type,
  tool_call_id: id,
  text,
}: MessagePart): { id: string; text: string } | undefined {
  if (type !== "tool_result" || typeof id !== "string") return undefined;
  return { id, text: typeof text === "string" ? text : "" };
}

/** An image, a file or a sound as the AI SDK has it. */
export function openAIFileOf(part: MessagePart): MessagePart | undefined {
  const { type, image_url: image, input_audio: audio, file } = part;
  if (type === "image_url" && isObject(image))
    return { type: "file", mediaType: mediaTypeOf(image.url) ?? "image/*", url: image.url };
  if (type === "input_audio" && isObject(audio)) {
    const mediaType = `audio/${String(audio.format)}`;
    return { type: "file", mediaType, url: `data:${mediaType};base64,${String(audio.data)}` };
  }
  if (type !== "file" || !isObject(file) || typeof file.file_data !== "string") return undefined;
  return {
    type: "file",
    mediaType: mediaTypeOf(file.file_data) ?? "application/octet-stream",
    url: file.file_data,
    ...(typeof file.filename === "string" && { filename: file.filename }),
  };
}

function mediaTypeOf(url: unknown): string | undefined {
  return typeof url === "string" ? /^data:([^;,]+)/.exec(url)?.[1] : undefined;
}

/** A model writes the arguments, so they may be no JSON. */
function parsed(text: unknown): unknown {
  if (typeof text !== "string") return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Shown as it was written.
    return text;
  }
}
