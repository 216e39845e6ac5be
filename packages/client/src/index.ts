export {
  Daybook,
  type BindOptions,
  type CreateOptions,
  type DaybookOptions,
  type TokenOptions,
} from "./daybook.js";
export { DaybookError, type ClientErrorCode } from "./errors.js";
export type {
  AgentState,
  ReplayOptions,
  TailOptions,
  TransactionOptions,
  TransactionResult,
} from "./agent-state.js";
export type { AgentTransaction, AgentWrites, WriteOptions } from "./agent-transaction.js";
export type { Session } from "./session.js";
export type {
  CloseOptions,
  FollowOptions,
  SessionEvents,
  SessionSnapshot,
  SessionStatus,
} from "./session-types.js";
export type { AppendInput } from "./append-input.js";
export type { AppendResult } from "./append-answer.js";
export type { AppendProgress, OutboxStatus } from "./outbox.js";
export type { OutgoingEvent, OutgoingGroup } from "./outbox-queue.js";
export type { TailStatus } from "./tail.js";
export type { RefreshToken } from "./token-keeper.js";
export { memoryStore, type Store } from "./store.js";
export { indexedDbStore, localStorageStore, type StorageLike } from "./web-stores.js";
export type { SessionState, SessionStateAt } from "./session-state.js";
export type { StateDiffOptions, StateListOptions, StatePoint } from "./state-reader.js";
export type { AgentCommit, AgentStateEntry, StateDiff, StateEntry } from "./state-wire.js";
export type { CreateRecordOptions, ForkOptions, ListOptions, Sessions, UpdateOptions } from "./sessions.js";
export type { LifecycleEvents } from "./lifecycle.js";
export type {
  BodyLike,
  Clock,
  Environment,
  FetchLike,
  LocksLike,
  ResponseLike,
  WebSocketConstructor,
  WebSocketLike,
} from "./environment.js";
export type {
  EventPage,
  ForkPoint,
  Gap,
  Identity,
  JsonObject,
  LifecycleEvent,
  Refs,
  SessionEvent,
  SessionPage,
  SessionRecord,
  StateChange,
} from "./wire.js";
