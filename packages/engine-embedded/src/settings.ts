/** What can be set of the embedded engine; tests make them small. */
export interface EngineSettings {
  /** A segment is sealed once it is this long. */
  readonly segmentBytes: number;
  /** Appends are refused when less than this is free, so that views can always catch up. */
  readonly reserveBytes: number;
  /** Bytes decided and not yet durable; beyond it appends get 429. */
  readonly queueBytesMax: number;
  /** How far, in bytes of log, the views may be behind before appends wait for them. */
  readonly viewLagBytesMax: number;
  /** Recent events kept in memory for tails. */
  readonly recentBytesMax: number;
  /** Logs kept in memory although nothing needs them there. */
  readonly idleLogsMax: number;
  /** How long changes are collected before the views are written; at half of `viewLagBytesMax` they are written sooner. */
  readonly flushDelayMs: number;
  readonly clock: () => number;
}

const MIB = 1024 * 1024;

export const ENGINE_DEFAULTS: EngineSettings = {
  segmentBytes: 64 * MIB,
  reserveBytes: 256 * MIB,
  queueBytesMax: 32 * MIB,
  viewLagBytesMax: 128 * MIB,
  recentBytesMax: 64 * MIB,
  idleLogsMax: 50_000,
  flushDelayMs: 3_000,
  clock: Date.now,
};

/** What the engine tells whoever measures or watches it. */
export interface EngineEvents {
  /** One batch is durable. Times in milliseconds. */
  batchDurable(batch: {
    readonly commits: number;
    readonly events: number;
    readonly bytes: number;
    readonly syncMs: number;
  }): void;
  viewsWritten(write: { readonly records: number; readonly ms: number }): void;
  log(message: string, details?: Record<string, unknown>): void;
  /** The store cannot go on: end the process and let the next start recover from disk. */
  fatal(error: Error): void;
}

export const NO_EVENTS: EngineEvents = {
  batchDurable: () => undefined,
  viewsWritten: () => undefined,
  log: () => undefined,
  fatal: () => undefined,
};
