/**
 * On every answer. What is served is somebody's data: no cache keeps it, no browser guesses what it is, and no address
 * of a session leaves in a `Referer`.
 */
export const SECURITY_HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
} as const;
