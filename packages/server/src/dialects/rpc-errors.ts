import { Code, ConnectError } from "@connectrpc/connect";
import { asDaybookError } from "../http/send-error.js";

/** The error table's names of gRPC's codes. */
const CODES: Readonly<Record<string, Code>> = {
  invalid_argument: Code.InvalidArgument,
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  not_found: Code.NotFound,
  unimplemented: Code.Unimplemented,
  already_exists: Code.AlreadyExists,
  failed_precondition: Code.FailedPrecondition,
  aborted: Code.Aborted,
  deadline_exceeded: Code.DeadlineExceeded,
  resource_exhausted: Code.ResourceExhausted,
  internal: Code.Internal,
  unavailable: Code.Unavailable,
};

/** An error in gRPC's terms. Our own code stands in the metadata, for programs that want to know exactly. */
export function asConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  // The caller went away.
  if (error instanceof Error && error.name === "AbortError") return ConnectError.from(error, Code.Canceled);
  const known = asDaybookError(error);
  const code = CODES[known.facts.grpc] ?? Code.Internal;
  return new ConnectError(known.message, code, { "daybook-error": known.code }, undefined, known.cause);
}
