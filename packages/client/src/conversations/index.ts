export { type ClientOptions, ConversationsClient, createClient } from "./create-client.js";
export {
  type AppendOptions,
  Conversation,
  OpeningConversation,
  type ReplayOptions,
  type TailOptions,
} from "./conversation.js";
export type { StreamOptions } from "./stream-messages.js";
export {
  type AppendedMessage,
  type ConversationRecord,
  type Message,
  type MessageInput,
  type MessagePage,
  type MessagePart,
} from "./wire.js";
export { DaybookError, type ClientErrorCode } from "../errors.js";
export { fromUIMessage, toUIMessages, type UIMessageLike } from "./ui-messages.js";
export { fromOpenAIMessage, type OpenAIMessageLike, toOpenAIMessages } from "./openai-messages.js";
