import type { JsonObject } from "@daybook/client";
import { convertFileListToFileUIParts, type FileUIPart, type UIMessage } from "ai";

/** What `sendMessage` takes: text, files, or a message of one's own. */
export interface NewMessage {
  readonly text?: string;
  readonly files?: FileList | readonly FileUIPart[];
  readonly parts?: UIMessage["parts"];
  readonly id?: string;
  readonly role?: UIMessage["role"];
  readonly metadata?: unknown;
  /** The user message that this one is to replace, with all that came after it. */
  readonly messageId?: string;
}

/** What can be said with a message beside it. */
export interface RequestOptions {
  readonly headers?: Record<string, string> | Headers;
  readonly body?: object;
  readonly metadata?: unknown;
}

/** @throws Error when the message to replace is none that a user could */
export async function newMessage<Message extends UIMessage>(
  { text, files, messageId, ...rest }: NewMessage,
  messages: readonly Message[],
  newId: () => string,
): Promise<Message> {
  const replaced = messages.find(({ id }) => id === messageId);
  if (messageId !== undefined && replaced?.role !== "user")
    throw new Error(`There is no user message with id ${messageId} to replace.`);
  const fileParts = isFileList(files) ? await convertFileListToFileUIParts(files) : (files ?? []);
  const textParts = text === undefined ? [] : [{ type: "text", text }];
  const parts = rest.parts ?? [...fileParts, ...textParts];
  const id = messageId ?? rest.id ?? newId();
  return { ...rest, role: rest.role ?? "user", parts, id } as unknown as Message;
}

/**
 * What goes into the event's `metadata`, where the agent finds it. There is no HTTP request that could carry headers.
 */
export function requestMetadata({ body, metadata }: RequestOptions): JsonObject | undefined {
  if (body === undefined && metadata === undefined) return undefined;
  return { ...(body !== undefined && { body }), ...(metadata !== undefined && { request: metadata }) };
}

function isFileList(files: NewMessage["files"]): files is FileList {
  return typeof FileList !== "undefined" && files instanceof FileList;
}
