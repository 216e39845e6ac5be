import { DaybookError, type ErrorCode } from "@daybook/protocol";
import type { FastifyError } from "fastify";

/** Fastify's own refusals, in our words. */
const FASTIFY_CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ["event_too_large", "The body is too large for this call."],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    "unsupported_media_type",
    "Send JSON with Content-Type: application/json.",
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ["invalid_request", "The body is not as long as Content-Length says."],
  FST_ERR_BAD_URL: ["invalid_session_id", "The path is not percent-encoded UTF-8."],
  FST_ERR_MAX_PARAM_LENGTH: ["invalid_session_id", "A part of the path is too long."],
};

/** Any error as one of the table's. What is not expected is hidden from the caller; the log has its cause. */
export function asDaybookError(error: unknown): DaybookError {
  if (error instanceof DaybookError) return error;
  const known = FASTIFY_CODES[(error as Partial<FastifyError> | undefined)?.code ?? ""];
  if (known !== undefined) return new DaybookError(known[0], known[1], { cause: error });
  const status = (error as Partial<FastifyError> | undefined)?.statusCode;
  if (status !== undefined && status >= 400 && status < 500) {
    return new DaybookError("invalid_request", "The request could not be understood.", { cause: error });
  }
  return new DaybookError("internal_error", "Something went wrong here; the server's log has the details.", {
    cause: error,
  });
}

/** The headers an error asks for. */
export function errorHeaders({ facts }: DaybookError): Record<string, string> {
  const headers: Record<string, string> = {};
  if (facts.http === 401) headers["www-authenticate"] = 'Bearer realm="daybook"';
  if (facts.retry === "after_delay") headers["retry-after"] = "1";
  return headers;
}
