import { DaybookError, type ErrorCode } from "@daybook/protocol";
import type { FastifyError } from "fastify";

/** Refusals of fastify and of Node's HTTP parser, in our words. */
const FOREIGN_CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ["event_too_large", "The body is too large for this call."],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    "unsupported_media_type",
    "Send JSON with Content-Type: application/json.",
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ["invalid_request", "The body is not as long as Content-Length says."],
  HPE_HEADER_OVERFLOW: ["headers_too_large", "The request line and headers are over 16 KiB."],
  ERR_HTTP_REQUEST_TIMEOUT: ["request_timeout", "The request took too long to arrive."],
  FST_ERR_BAD_URL: ["invalid_session_id", "The path is not percent-encoded UTF-8."],
  FST_ERR_MAX_PARAM_LENGTH: ["invalid_session_id", "A part of the path is too long."],
};

/** Any error as one of the table's. What is not expected is hidden from the caller; the log has its cause. */
export function asDaybookError(error: unknown): DaybookError {
  if (error instanceof DaybookError) return error;
  const code = (error as Partial<FastifyError> | undefined)?.code ?? "";
  const known = FOREIGN_CODES[code];
  if (known !== undefined) return new DaybookError(known[0], known[1], { cause: error });
  if (code.startsWith("HPE_"))
    return new DaybookError("invalid_request", "This is no HTTP/1.1 request.", { cause: error });
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
