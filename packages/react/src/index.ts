export { type DaybookChat, useDaybookChat } from "./use-daybook-chat.js";
export type { ChatOptions, ChatView, ShownOrigin } from "./chat-types.js";
export { useSession, type UsedSession, type UseSessionOptions } from "./use-session.js";
export type { SessionStoreOptions, SessionView } from "./session-store.js";
export { loadChat, type LoadedChat, type LoadOptions } from "./load-chat.js";
export { useOpenSession } from "./use-open-session.js";
export { DaybookChatTransport, type TransportOptions } from "./daybook-chat-transport.js";
export { type ChatSync, type SyncedChat, type SyncOptions, useChatSync } from "./use-chat-sync.js";
