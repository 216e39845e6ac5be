/** What the bench asks of its load generators, and what they answer: plain values, since it crosses processes. */

/** A server to be loaded. */
export interface Target {
  readonly url: string;
  readonly token?: string;
  /** Which protocol it speaks; sessions if left out. */
  readonly api?: "sessions" | "durable streams";
}

/** Sessions named by a prefix and seven digits, so that a prepared request is changed in place. */
export interface SessionSet {
  readonly prefix: string;
  readonly count: number;
}

export interface AppendTask {
  readonly kind: "append";
  readonly target: Target;
  readonly sessions: SessionSet;
  readonly connections: number;
  readonly eventsPerRequest: number;
  /** The JSON of one event as it is sent. */
  readonly eventBytes: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Open loop: so many requests a second, whatever the answers do. Left out: the next request follows the answer. */
  readonly requestsPerSecond?: number;
  /** By pushes on Phoenix sockets, each joined to one session; by POST if left out. As many connections as sessions. */
  readonly overSocket?: boolean;
  /** Follow every session over a WebSocket, and time each event until it is seen there. Sessions must be new. */
  readonly follow?: boolean;
}

export interface AppendReport {
  readonly requests: number;
  readonly events: number;
  /** With those of warming up and draining. */
  readonly eventsInAll: number;
  readonly seconds: number;
  readonly refused: number;
  /** Open loop: from the moment a request was due, so that a stall counts for all that it held up. */
  readonly latency: Percentiles;
  readonly seen: Percentiles;
  readonly busy: number;
}

/** Milliseconds. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** The times at `CURVE`. */
  readonly curve: readonly number[];
}

/** Where a distribution is kept, from the median to one in ten thousand. */
export const CURVE = [0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999] as const;

export interface FillTask {
  readonly kind: "fill";
  readonly target: Target;
  readonly sessions: SessionSet;
  readonly eventsPerSession: number;
  readonly eventsPerRequest: number;
  readonly eventBytes: number;
}

export interface OpenTailsTask {
  readonly kind: "open_tails";
  readonly target: Target;
  readonly sessions: SessionSet;
  readonly tails: number;
  /** A slow reader is one that never reads. */
  readonly reading: boolean;
}

export interface FanOutTask {
  readonly kind: "fan_out";
  readonly target: Target;
  readonly sessions: SessionSet;
  readonly eventsPerRequest: number;
  readonly eventBytes: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Connections that publish. */
  readonly publishers: number;
  /** They wait while the followers are this many events behind, on average. */
  readonly eventsAheadMax: number;
}

export interface FanOutReport {
  readonly deliveries: number;
  readonly published: number;
  readonly seconds: number;
  readonly busy: number;
}

export interface ReplayTask {
  readonly kind: "replay";
  readonly target: Target;
  readonly sessions: SessionSet;
  readonly events: number;
}

export interface GetTask {
  readonly kind: "get";
  readonly target: Target;
  readonly path: string;
  readonly times: number;
}

/** One kind of request, from many connections, as fast as it is answered. */
export interface RequestsTask {
  readonly kind: "requests";
  readonly target: Target;
  readonly method: "GET" | "POST";
  /** Ten zeros in the path or the body stand for a number that rises from `firstCount` and begins anew at `counts`. */
  readonly path: string;
  readonly body?: string;
  readonly firstCount: number;
  readonly counts: number;
  /** What a good answer's status is. */
  readonly status: number;
  readonly connections: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

export interface RequestsReport {
  readonly requests: number;
  readonly seconds: number;
  readonly refused: number;
  readonly latency: Percentiles;
  readonly busy: number;
}

/** Transactions over gRPC, each of them begun, written once and committed. */
export interface GrpcTask {
  readonly kind: "grpc";
  /** `host:port` */
  readonly address: string;
  readonly atOnce: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/** Answers that grow token by token, written by the SDK's recorder and read by another client. */
export interface ChatTask {
  readonly kind: "chat";
  readonly target: Target;
  /** They are created. */
  readonly sessions: SessionSet;
  /** In each session. */
  readonly chunksPerSecond: number;
  /** The recorder appends what came within this time together. */
  readonly batchMs: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

export interface ChatReport {
  readonly tokens: number;
  /** What they became. */
  readonly events: number;
  readonly seconds: number;
  /** From the moment a token was due. */
  readonly seen: Percentiles;
  readonly busy: number;
}

/** Tasks by kind, each with its answer. */
export interface Answers {
  create: { readonly created: number };
  fill: { readonly events: number };
  append: AppendReport;
  open_tails: { readonly open: number };
  close_tails: { readonly frames: number };
  fan_out: FanOutReport;
  replay: { readonly ms: number };
  get: { readonly latency: Percentiles; readonly bytes: number };
  requests: RequestsReport;
  grpc: RequestsReport;
  chat: ChatReport;
}

export type Task =
  | { readonly kind: "create"; readonly target: Target; readonly sessions: SessionSet }
  | { readonly kind: "close_tails" }
  | FillTask
  | AppendTask
  | OpenTailsTask
  | FanOutTask
  | ReplayTask
  | GetTask
  | RequestsTask
  | GrpcTask
  | ChatTask;

export type TaskAnswer = { readonly answer: Answers[keyof Answers] } | { readonly failed: string };

const DIGITS = 7;

export function sessionId({ prefix }: SessionSet, index: number): string {
  return prefix + String(index).padStart(DIGITS, "0");
}
