export {
  ASSISTANT_CHUNK,
  type ChatEvent,
  type ChunkLike,
  chunkOf,
  idBySeq,
  isEnd,
  isStop,
  type MessageLike,
  STOP,
  USER_MESSAGE,
  userMessageOf,
  writerOf,
} from "./chat-envelope.js";
export { PartTracker } from "./part-tracker.js";
export { type ChatAnswer, type ChatEntry, readChat } from "./read-chat.js";
export { type MessageReader, readMessages } from "./read-messages.js";
export { type ChunkStream, type RecordedMessage, type RecordOptions, recordStream } from "./record-stream.js";
export { type AgentTurn, runAgent, type RunAgentOptions } from "./run-agent.js";
export { turnBoundary } from "./turn-boundary.js";
