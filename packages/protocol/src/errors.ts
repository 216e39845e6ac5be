/**
 * The closed table of errors. Each code answers: which HTTP status, which gRPC code, is a retry worth it, and
 * could the request have taken effect although it failed?
 */
export interface ErrorFacts {
  readonly http: number;
  readonly grpc: string;
  readonly retry: "never" | "after_delay" | "after_reload";
  readonly effect: "none" | "unknown";
}

const refused = (http: number, grpc: string): ErrorFacts => ({ http, grpc, retry: "never", effect: "none" });
const conflict = { http: 409, grpc: "aborted", retry: "after_reload", effect: "none" } as const;
const overload = { http: 429, grpc: "resource_exhausted", retry: "after_delay", effect: "none" } as const;

export const ERRORS = {
  invalid_event: refused(400, "invalid_argument"),
  invalid_session: refused(400, "invalid_argument"),
  invalid_metadata: refused(400, "invalid_argument"),
  invalid_message: refused(400, "invalid_argument"),
  invalid_refs: refused(400, "invalid_argument"),
  invalid_state: refused(400, "invalid_argument"),
  invalid_cursor: refused(400, "invalid_argument"),
  invalid_limit: refused(400, "invalid_argument"),
  invalid_list_query: refused(400, "invalid_argument"),
  invalid_tail_batch_size: refused(400, "invalid_argument"),
  invalid_session_id: refused(400, "invalid_argument"),
  invalid_websocket_upgrade: refused(400, "invalid_argument"),
  invalid_request: refused(400, "invalid_argument"),
  unauthorized: refused(401, "unauthenticated"),
  forbidden: refused(403, "permission_denied"),
  forbidden_scope: refused(403, "permission_denied"),
  forbidden_session: refused(403, "permission_denied"),
  forbidden_tenant: refused(403, "permission_denied"),
  forbidden_origin: refused(403, "permission_denied"),
  not_found: refused(404, "not_found"),
  session_not_found: refused(404, "not_found"),
  conversation_not_found: refused(404, "not_found"),
  method_not_allowed: refused(405, "unimplemented"),
  request_timeout: { http: 408, grpc: "deadline_exceeded", retry: "after_delay", effect: "none" },
  state_key_not_found: refused(404, "not_found"),
  transaction_not_found: refused(404, "not_found"),
  session_exists: refused(409, "already_exists"),
  session_deleted: refused(409, "already_exists"),
  session_has_forks: refused(409, "failed_precondition"),
  fork_too_deep: refused(409, "failed_precondition"),
  producer_replay_conflict: refused(409, "aborted"),
  idempotency_key_reused: refused(409, "aborted"),
  producer_seq_conflict: conflict,
  expected_seq_conflict: conflict,
  expected_version_conflict: conflict,
  state_conflict: conflict,
  conflict,
  transaction_ended: refused(409, "failed_precondition"),
  transaction_expired: refused(410, "deadline_exceeded"),
  session_closed: refused(410, "failed_precondition"),
  conversation_tombstoned: refused(410, "failed_precondition"),
  state_too_large: refused(413, "invalid_argument"),
  answer_too_large: refused(413, "resource_exhausted"),
  event_too_large: refused(413, "invalid_argument"),
  headers_too_large: refused(431, "invalid_argument"),
  unsupported_media_type: refused(415, "invalid_argument"),
  event_store_backpressure: overload,
  transactions_full: overload,
  rate_limited: overload,
  internal_error: { http: 500, grpc: "internal", retry: "after_delay", effect: "unknown" },
  storage_unavailable: { http: 503, grpc: "unavailable", retry: "after_delay", effect: "unknown" },
  archive_read_unavailable: { http: 503, grpc: "unavailable", retry: "after_delay", effect: "none" },
  issuer_unavailable: { http: 503, grpc: "unavailable", retry: "after_delay", effect: "none" },
  shutting_down: { http: 503, grpc: "unavailable", retry: "after_delay", effect: "none" },
} as const satisfies Record<string, ErrorFacts>;

export type ErrorCode = keyof typeof ERRORS;

export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

/**
 * The one error class. `details` become extra members of the answer (`current_seq`, `last_seq`, `index` …);
 * the cause is for the log only and is never sent.
 */
export class DaybookError extends Error {
  override readonly name = "DaybookError";
  readonly details: ErrorDetails;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: ErrorDetails } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.details = options.details ?? {};
  }

  get facts(): ErrorFacts {
    return ERRORS[this.code];
  }

  /** The body every dialect over HTTP sends: code, sentence, details. */
  toBody(): Record<string, unknown> {
    return { error: this.code, message: this.message, ...this.details };
  }
}
