export { Daybook, type BindOptions, type CreateOptions, type DaybookOptions } from "./daybook.js";
export { DaybookError, type ClientErrorCode } from "./errors.js";
export type { Session } from "./session.js";
export type {
  CloseOptions,
  FollowOptions,
  SessionEvents,
  SessionSnapshot,
  SessionStatus,
} from "./session-types.js";
export type { AppendInput } from "./append-input.js";
export type { AppendProgress, AppendResult, OutboxStatus } from "./outbox.js";
export type { OutgoingEvent, OutgoingGroup } from "./outbox-queue.js";
export type { TailStatus } from "./tail.js";
export type { RefreshToken } from "./token-keeper.js";
export { memoryStore, type Store } from "./store.js";
export { indexedDbStore, localStorageStore, type StorageLike } from "./web-stores.js";
export type { CreateRecordOptions, ListOptions, Sessions, UpdateOptions } from "./sessions.js";
export type { LifecycleEvents } from "./lifecycle.js";
export type {
  Clock,
  Environment,
  FetchLike,
  LocksLike,
  WebSocketConstructor,
  WebSocketLike,
} from "./environment.js";
export type {
  EventPage,
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
