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
export { type ChatEntry, type MessageReader, readChat, readMessages } from "./chat-events.js";
export { type ChunkStream, type RecordedMessage, type RecordOptions, recordStream } from "./record-stream.js";
export { type AgentTurn, runAgent, type RunAgentOptions } from "./run-agent.js";
