/**
 * Every bound Daybook keeps, in one place. Sizes are bytes of UTF-8 unless the name says otherwise.
 * Those marked (configurable) are defaults; docs/PROTOCOL.md lists them all and each is tested at its edge.
 */
export const LIMITS = {
  /** One event's JSON as stored (configurable). Large tool results fit; files belong elsewhere. */
  eventBytesMax: 1024 * 1024,
  /** Events in one append (configurable): one commit must stay small beside a group-commit batch. */
  batchEventsMax: 1_000,
  /** Body of one batch append (configurable). */
  batchBytesMax: 8 * 1024 * 1024,
  /** A title is shown in lists; it is not a place for content. */
  titleBytesMax: 1024,
  /** A session's metadata after merging. */
  metadataBytesMax: 64 * 1024,
  /** Session, producer and tenant ids, event types, actors and sources, in UTF-16 characters. */
  idCharactersMax: 256,
  /** Nested arrays and objects, counted over the whole body. */
  jsonDepthMax: 64,
  /** Metadata values up to this size can be filtered on. */
  indexedMetadataBytesMax: 256,
  /** Page sizes of lists and event reads. */
  pageSizeMax: 1_000,
  pageSizeDefault: 100,
  /** Long-poll patience. */
  waitSecondsMax: 60,
  /** Events in one WebSocket frame or channel push. */
  tailBatchSizeMax: 1_000,
  /** Retries are recognised this many pairs back per producer … */
  producerPairsMax: 1_024,
  /** … and this many per session; the least recently used producers are forgotten first. */
  sessionPairsMax: 65_536,
  /** Messages are recognised by their idempotency keys this many back in a conversation. */
  idempotencyKeysMax: 1_024,
  /** A state key: two of them and an agent identity still fit an LMDB key. */
  stateKeyBytesMax: 1024,
  stateValueBytesMax: 1024 * 1024,
  /** Forks of forks of …: a read walks up to the ancestor that holds what it wants. */
  forkDepthMax: 64,
  /** A namespace and an agent of the state dialect. */
  agentNameBytesMax: 256,
  /** Keys and values of one transaction. */
  transactionBytesMax: 8 * 1024 * 1024,
  transactionOperationsMax: 10_000,
  /** What the open transactions of a tenant may hold in memory, all together. */
  stagedBytesMax: 64 * 1024 * 1024,
  transactionMsDefault: 30_000,
  transactionMsMax: 24 * 3600 * 1000,
  /** Ended transactions are told from unknown ones this long … */
  endedTransactionMsMax: 10 * 60 * 1000,
  /** … as long as a tenant has no more of them than this. */
  endedTransactionsMax: 100_000,
  /** What gRPC clients take as one message by default. */
  rpcAnswerBytesMax: 4 * 1024 * 1024,
  /** A value of the largest size, however it is made up, as a Struct. */
  rpcRequestBytesMax: 8 * 1024 * 1024,
} as const;
