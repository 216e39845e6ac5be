export {
  type ChatEntry,
  type ChunkLike,
  type MessageLike,
  type MessageReader,
  readChat,
  readMessages,
} from "./chat-events.js";
export { type ChunkStream, type RecordedMessage, type RecordOptions, recordStream } from "./record-stream.js";
export { type AgentTurn, runAgent, type RunAgentOptions } from "./run-agent.js";
