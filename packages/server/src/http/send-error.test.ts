import { DaybookError, ERRORS, type ErrorCode } from "@daybook/protocol";
import { describe, expect, test } from "vitest";
import { errorHeaders } from "./send-error.js";

const codes = Object.keys(ERRORS) as ErrorCode[];
const statusOf = (code: ErrorCode): number => ERRORS[code].http;
const headersOf = (code: ErrorCode): Record<string, string> => errorHeaders(new DaybookError(code, "x"));

describe("the table of errors, as clients of the session dialect take it", () => {
  test("has the codes they know, under the statuses they know", () => {
    const known: Record<number, ErrorCode[]> = {
      400: [
        ...([
          "invalid_event",
          "invalid_session",
          "invalid_metadata",
          "invalid_refs",
          "invalid_cursor",
        ] as const),
        ...(["invalid_limit", "invalid_list_query", "invalid_tail_batch_size"] as const),
        ...(["invalid_session_id", "invalid_websocket_upgrade"] as const),
      ],
      401: ["unauthorized"],
      403: ["forbidden", "forbidden_scope", "forbidden_session", "forbidden_tenant"],
      404: ["session_not_found"],
      409: [
        ...(["session_exists", "session_deleted", "expected_seq_conflict"] as const),
        ...(["expected_version_conflict", "producer_seq_conflict", "producer_replay_conflict"] as const),
      ],
      410: ["session_closed"],
      413: ["event_too_large"],
      429: ["event_store_backpressure", "rate_limited"],
      500: ["internal_error"],
      503: ["storage_unavailable", "archive_read_unavailable"],
    };
    for (const [status, list] of Object.entries(known))
      expect(list.map((code) => [code, statusOf(code)])).toEqual(list.map((code) => [code, Number(status)]));
  });

  test("401 and 403 are about who calls and nothing else: a client refreshes its token on them without end", () => {
    expect(codes.filter((code) => [401, 403].includes(statusOf(code)))).toEqual([
      "unauthorized",
      "forbidden",
      "forbidden_scope",
      "forbidden_session",
      "forbidden_tenant",
      "forbidden_origin",
    ]);
  });

  test("what a client tries again without end is only what may get better by itself", () => {
    const again = codes.filter((code) => [408, 425, 429, 500, 502, 503, 504].includes(statusOf(code)));
    expect(again.filter((code) => ERRORS[code].retry !== "after_delay")).toEqual([]);
    expect(codes.filter((code) => ERRORS[code].retry === "after_delay")).toEqual(again);
  });

  test.each(codes)("%s says what the caller has to know in headers", (code) => {
    const status = statusOf(code);
    const headers = headersOf(code);
    expect(headers["www-authenticate"]).toBe(status === 401 ? 'Bearer realm="daybook"' : undefined);
    if ([429, 500, 503].includes(status)) expect(Number(headers["retry-after"])).toBeGreaterThan(0);
  });
});
