export { type DaybookChat, useDaybookChat } from "./use-daybook-chat.js";
export type { ChatOptions, ChatView, ShownOrigin } from "./chat-types.js";
